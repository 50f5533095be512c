"""The report of a run: one HTML page for people, verdicts first, without network, scripts or anything else beside it.

Names and values come from a stranger's table: jinja2 escapes them, and characters that do not print are spelled.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from etude.errors import printable

if TYPE_CHECKING:
    from etude.evaluation.importance import Importance
    from etude.verdicts import Verdict

SLICES_UP_TO = 40
COLUMNS_UP_TO = 40
CHARACTERS = 200


@dataclass(frozen=True)
class RunReport:
    """``facts`` are headed lists of (name, value); ``detail`` is test/metrics.json; ``figures`` PNG bytes by title."""

    name: str
    run_id: str
    target: str
    verdicts: Sequence[Verdict]
    warnings: Sequence[str]
    facts: Mapping[str, Sequence[tuple[str, str]]]
    detail: Mapping[str, Any]
    validation: Mapping[str, float]
    importances: Sequence[Importance]
    figures: Mapping[str, bytes]
    commands: Sequence[str]


@dataclass(frozen=True)
class Line:
    """A metric of the test beside validation's and the plain models'; empty where there is none."""

    name: str
    validation: str
    test: str
    interval: str
    others: tuple[str, ...]


def html(report: RunReport) -> bytes:
    """The page, UTF-8."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["printed"] = _printed
    environment.filters["number"] = _number
    template = files("etude.report").joinpath("templates/run_report.html").read_text("utf-8")
    slices = sorted(report.detail["slices"], key=lambda s: (s["p"], -s["rows"]))
    page = environment.from_string(template).render(
        report=report,
        lines=lines(report),
        others=[report.detail["baseline_kind"], *(gain["name"] for gain in report.detail["gains"])],
        slices=slices[:SLICES_UP_TO],
        more_slices=len(slices) - SLICES_UP_TO,
        importances=report.importances[:COLUMNS_UP_TO],
        images={title: base64.b64encode(png).decode() for title, png in report.figures.items()},
    )
    return page.encode()


def lines(report: RunReport) -> list[Line]:
    """One line a metric of the test, in the order in which they were measured."""
    metrics, detail = report.detail["metrics"], report.detail
    found = []
    for key, value in metrics.items():
        name = key.removeprefix("test/")
        if name.endswith(("_low", "_high")) or name == "score":
            continue
        rivals = [f"baseline_{gain['rival']}/{name}" for gain in detail["gains"]]
        others = [detail["baseline"].get(f"baseline/{name}"), *(detail["rivals"].get(r) for r in rivals)]
        found.append(
            Line(
                name,
                _number(report.validation.get(f"validation/best_{name}")),
                _number(value),
                _between(metrics.get(f"{key}_low"), metrics.get(f"{key}_high")),
                tuple(_number(other) for other in others),
            )
        )
    return found


def _printed(value: object) -> str:
    text = printable(str(value))
    return text if len(text) <= CHARACTERS else text[: CHARACTERS - 1] + "…"


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.4f}" if abs(value) < 100 else f"{value:,.1f}"


def _between(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{_number(low)} to {_number(high)}"
