"""A flow that a notebook can call as it stands."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

from prefect import Flow

from etude.home import home
from etude.place import check_place
from tasks.prefect_api import prefect_api
from tasks.progress import listener

P = ParamSpec("P")
R = TypeVar("R")


def _whatever_prefect_says(flow: EmbeddedFlow[Any, Any], args: Any, kwargs: Any) -> Any:
    """What the flow's function gives or raises, also where Prefect's API went away meanwhile and hears of no end."""
    from httpx import HTTPStatusError, TransportError

    ended: list[Callable[[], Any]] = []

    @wraps(flow.fn)
    def remembered(*args: Any, **kwargs: Any) -> Any:
        try:
            found = flow.fn(*args, **kwargs)
        except Exception as error:
            ended.append(partial(_raise, error))
            raise
        ended.append(lambda: found)
        return found

    called = flow.with_options()
    called.fn = remembered
    try:
        return Flow.__call__(called, *args, **kwargs)
    except (TransportError, HTTPStatusError) as error:
        if not ended:
            raise
        listener().said(f"Prefect's API went away ({error}): the run has ended, Prefect does not know it")
        return ended[0]()


def _raise(error: Exception) -> None:
    raise error


def _shown_table(value: Any) -> Any:
    if not hasattr(value, "shape") or not hasattr(value, "columns"):
        return value
    rows, columns = value.shape
    return f"<{type(value).__name__} of {rows:,} rows x {columns:,} columns>"


class EmbeddedFlow(Flow[P, R]):
    """A Prefect flow that brings its own API where none is configured, for the time of a call.

    Prefect's runner and workers do not call a flow, they run it against their own API: there it is any flow.
    """

    if not TYPE_CHECKING:  # type checkers see the overloads of Flow

        def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
            check_place(home())
            with prefect_api(home() / "prefect", needed=False):
                return _whatever_prefect_says(self, args, kwargs)

    def serialize_parameters(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """As Prefect's API gets them: a table by its size, since otherwise all of its cells would be stored there."""
        shown = {name: _shown_table(value) for name, value in parameters.items()}
        return super().serialize_parameters(shown)

    def with_options(self, **options: Any) -> EmbeddedFlow[P, R]:
        """As ``Flow.with_options``, which makes a plain ``Flow``: this stays what it is."""
        changed = super().with_options(**options)
        changed.__class__ = type(self)
        return cast("EmbeddedFlow[P, R]", changed)
