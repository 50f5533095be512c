"""The data report: one HTML page about a table, for people, without network, scripts or anything else beside it.

Every name and value comes from a stranger's file: jinja2 escapes them, and characters that do not print are spelled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING

from etude.errors import shown
from etude.report.column_facts import ColumnFacts

if TYPE_CHECKING:
    from etude.cleaning import RuleResult

COLUMNS_UP_TO = 300  # on the page; a wider table says how many more it has
SKETCH_WIDTH, SKETCH_HEIGHT = 168, 34


@dataclass(frozen=True)
class DataReport:
    """``snapshot`` is the digest of the collected table; ``rows`` are left after ``rules`` ran in their order."""

    source: str
    snapshot: str
    rows_read: int
    rows: int
    columns: tuple[ColumnFacts, ...]
    target: str
    task: str
    rules: tuple[RuleResult, ...]

    @property
    def target_facts(self) -> ColumnFacts:
        return next(column for column in self.columns if column.name == self.target)

    @property
    def missing_share(self) -> float:
        """Of all cells of the columns that take part."""
        used = [c for c in self.columns if c.role != "left out"]
        cells = sum(c.rows for c in used)
        return sum(c.missing for c in used) / cells if cells else 0.0


def html(report: DataReport) -> bytes:
    """The page, UTF-8."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["printed"] = _printed
    environment.filters["percent"] = percent
    environment.globals["bars"] = _bars
    template = files("etude.report").joinpath("templates/data_report.html").read_text("utf-8")
    page = environment.from_string(template).render(
        report=report,
        target=report.target_facts,
        columns=report.columns[:COLUMNS_UP_TO],
        more=len(report.columns) - COLUMNS_UP_TO,
        width=SKETCH_WIDTH,
        height=SKETCH_HEIGHT,
    )
    return page.encode()


def _printed(value: object) -> str:
    """At most 80 characters, those that do not print as escapes."""
    return shown(value)[1:-1]


def percent(share: float) -> str:
    """One decimal, and never 0.0 or 100.0 for what is only nearly so."""
    if 0 < share < 0.001:
        return "under 0.1 %"
    if 0.999 < share < 1:
        return "over 99.9 %"
    return f"{100 * share:.1f} %"


def _bars(counts: Sequence[int], width: int, height: int) -> list[tuple[float, float, float, float]]:
    """x, y, width and height of a sketch's bars; the highest fills the height, one row still shows."""
    if not counts:
        return []
    step, top = width / len(counts), max(*counts, 1)
    heights = [max(1.0, height * count / top) if count else 0.0 for count in counts]
    return [
        (round(i * step, 2), round(height - h, 2), round(max(step - 1, 0.5), 2), round(h, 2))
        for i, h in enumerate(heights)
    ]
