"""The data report's picture: what is missing, which kinds there are, the target, and what cleaning changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from etude.report.data_report import percent
from etude.report.figure_canvas import (
    BLUE,
    FAINT,
    GREEN,
    ORANGE,
    SKY,
    drawn,
    safe_labels,
    safe_text,
    short_ticks,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from etude.report.column_facts import ColumnFacts
    from etude.report.data_report import DataReport

BARS_UP_TO = 12
LEAST_SLOTS = 2  # so that one bar does not fill its panel
HISTOGRAM_SLOTS = 7
SLOT = 0.32  # inches


def data_overview(report: DataReport) -> bytes:
    """PNG bytes, four panels, as high as their bars need."""
    balance = report.task == "classification" and bool(report.target_facts.levels)
    upper = len(report.target_facts.levels) if balance else HISTOGRAM_SLOTS
    heights = [
        max(LEAST_SLOTS, len(_kind_counts(report)), min(BARS_UP_TO, upper)),
        max(LEAST_SLOTS, _changed(report), min(BARS_UP_TO, len(_with_missing(report)))),
    ]

    def draw(figure: Figure) -> None:
        target, kinds, missing, rules = figure.subplots(
            2, 2, width_ratios=(3, 2), height_ratios=heights
        ).ravel()
        if balance:
            _balance(target, report, heights[0])
        else:
            _histogram(target, report)
        _kinds(kinds, report, heights[0])
        _missing(missing, report, heights[1])
        _rules(rules, report, heights[1])

    return drawn(9.6, SLOT * sum(heights) + 1.2, draw, cut=True)


def _kind_counts(report: DataReport) -> list[tuple[str, int]]:
    return Counter(c.kind if c.role != "left out" else "left out" for c in report.columns).most_common()


def _with_missing(report: DataReport) -> list[ColumnFacts]:
    """Used columns with a missing cell, the most first."""
    used = [c for c in report.columns if c.missing and c.role != "left out"]
    return sorted(used, key=lambda c: -c.missing / c.rows)


def _changed(report: DataReport) -> int:
    return sum(rule.changed > 0 for rule in report.rules)


def _bars(
    axes: Axes,
    labels: list[str],
    values: Sequence[float],
    texts: list[str],
    colour: str,
    slots: int,
    full: float = 0.0,
) -> None:
    """Horizontal bars, the first on top, each with its text at the end; ``full`` is what a whole track means."""
    positions = range(len(labels))
    end = full or max(values)
    if full:
        axes.barh(positions, [full] * len(labels), color="#f0f0f0", height=0.62)
    axes.barh(positions, values, color=colour, height=0.62)
    axes.set_yticks(positions, safe_labels(labels, 28, lines=2))
    axes.set_ylim(slots - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.set_xlim(0, end * 1.3)
    axes.xaxis.set_visible(False)
    axes.spines[:].set_visible(False)
    for position, value, text in zip(positions, values, texts, strict=True):
        place = (end if full else value, position)
        axes.annotate(text, place, (4, 0), textcoords="offset points", va="center", fontsize=8.5)


def _nothing(axes: Axes, text: str) -> None:
    axes.set_axis_off()
    axes.text(0, 0.95, text, transform=axes.transAxes, va="top", color=FAINT)


def _missing(axes: Axes, report: DataReport, slots: int) -> None:
    columns = _with_missing(report)
    more = f", the {BARS_UP_TO} most of {len(columns)} columns" if len(columns) > BARS_UP_TO else ""
    axes.set_title(f"Missing cells{more}")
    if not columns:
        _nothing(axes, "No cell of a used column is missing.")
        return
    shown = columns[:BARS_UP_TO]
    texts = [f"{c.missing:,}  ({percent(c.missing / c.rows)})" for c in shown]
    shares = [c.missing / c.rows for c in shown]
    _bars(axes, [c.name for c in shown], shares, texts, ORANGE, slots, full=1.0)


def _kinds(axes: Axes, report: DataReport, slots: int) -> None:
    counts = _kind_counts(report)
    axes.set_title(f"Kinds of the {len(report.columns):,} columns")
    _bars(axes, [k for k, _ in counts], [n for _, n in counts], [f"{n:,}" for _, n in counts], SKY, slots)


def _balance(axes: Axes, report: DataReport, slots: int) -> None:
    facts = report.target_facts
    shown = facts.levels[:BARS_UP_TO]
    more = f", the {len(shown)} largest of {facts.distinct:,} classes" if facts.distinct > len(shown) else ""
    axes.set_title(f"Target: {safe_text(facts.name, 40)}, {report.rows:,} rows{more}")
    rows = max(1, facts.rows - facts.missing)
    texts = [f"{n:,}  ({percent(n / rows)})" for _, n in shown]
    _bars(axes, [level for level, _ in shown], [n for _, n in shown], texts, BLUE, slots)


def _histogram(axes: Axes, report: DataReport) -> None:
    facts = report.target_facts
    axes.set_title(f"Target: {safe_text(facts.name, 40)}, {report.rows:,} rows")
    axes.bar(range(len(facts.bins)), facts.bins, width=1.0, color=BLUE, edgecolor="white", linewidth=0.4)
    axes.set_xticks([-0.5, len(facts.bins) - 0.5], [facts.low, facts.high])
    axes.set_xlabel(f"median {facts.middle}" if facts.middle else "from the least to the greatest value")
    axes.set_ylabel("rows")
    short_ticks(axes.yaxis)


def _rules(axes: Axes, report: DataReport, slots: int) -> None:
    axes.set_title("What cleaning changed")
    changed = [r for r in report.rules if r.changed]
    if not changed:
        _nothing(axes, "Nothing.")
        return
    texts = [f"{r.changed:,} {r.unit}\n{safe_text(r.action)}" for r in changed]
    _bars(axes, [r.rule for r in changed], [r.changed for r in changed], texts, GREEN, slots)
