"""How MLflow holds a packed model: ``mlflow.pyfunc.load_model`` and ``mlflow models serve`` call what is here.

MLflow itself is never imported: what is needed of it is there already when it calls.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any, Protocol

from etude.errors import EtudeError

if TYPE_CHECKING:
    import pandas as pd


class Answering(Protocol):
    """``etude.model.Model``."""

    def predict(self, rows: pd.DataFrame) -> pd.DataFrame: ...


class PyFunc:
    """``predict`` takes raw rows, and says what is wrong with them in Etude's one line."""

    def __init__(self, model: Answering) -> None:
        self.model = model
        log = logging.getLogger("mlflow.models.utils")
        if _is_news not in log.filters:
            log.addFilter(_is_news)

    def predict(self, rows: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        try:
            return self.model.predict(rows)
        except EtudeError as error:
            raise _as_mlflow_tells(error) from None


def _is_news(record: logging.LogRecord) -> bool:
    """Raw rows have more columns than a model reads, and may have: no warning on every call."""
    return not str(record.msg).startswith("Found extra inputs in the model input")


def _as_mlflow_tells(error: EtudeError) -> EtudeError:
    """The same error, also of MLflow's own kind where that is loaded: its server hides the text of any other."""
    theirs = getattr(sys.modules.get("mlflow.exceptions"), "MlflowException", None)
    if theirs is None:
        return error
    both = type(type(error).__name__, (type(error), theirs), {"__init__": theirs.__init__})
    told: EtudeError = both(str(error), error_code=1000)  # INVALID_PARAMETER_VALUE: HTTP status 400
    told.code, told.what, told.where, told.value, told.mend = (
        error.code,
        error.what,
        error.where,
        error.value,
        error.mend,
    )
    told.declare = error.declare
    return told
