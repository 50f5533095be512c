"""Pictures of the one test: the curves of probabilities, the slices, and which columns matter. PNG bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from etude.report.figure_canvas import (
    BLUE,
    FAINT,
    GREEN,
    INK,
    ORANGE,
    SKY,
    VERMILION,
    drawn,
    light_grid,
    room,
    safe_labels,
    short_ticks,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from etude.evaluation.importance import Importance
    from etude.evaluation.slices import Slice

Floats = NDArray[np.float64]
COLOURS = (BLUE, VERMILION, GREEN, ORANGE, SKY, INK)
STYLES = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (6, 1.5, 1.5, 1.5)), (0, (3, 3)), (0, (8, 2)))
RELIABILITY_BINS = 10
BARS_UP_TO = 15
SLICES_UP_TO = 18
ROW, WIDTH = 0.27, 7.2  # inches


def curves(names: Sequence[str], labels: NDArray[np.int64], probabilities: Floats) -> bytes:
    """ROC, precision-recall and reliability side by side; above two classes one against all others, of the six most
    frequent classes."""
    counts = np.bincount(labels, minlength=len(names))
    shown = [1] if len(names) == 2 else sorted(np.argsort(-counts, kind="stable")[: len(COLOURS)].tolist())
    drawable = [c for c in shown if 0 < counts[c] < len(labels)]
    texts = safe_labels([names[c] for c in drawable], 20)

    def draw(figure: Figure) -> None:
        roc, precision, reliable = figure.subplots(1, 3)
        for number, c in enumerate(drawable):
            style = {"color": COLOURS[number], "linestyle": STYLES[number], "linewidth": 1.5}
            false, true, share = rates(labels == c, probabilities[:, c])
            roc.plot(false, true, label=texts[number], **style)
            precision.plot(true[1:], share[1:], drawstyle="steps-post", **style)
        roc.plot([0, 1], [0, 1], color=FAINT, linewidth=0.9, linestyle=":")
        _reliability(reliable, labels, probabilities)
        for axes, titles in (
            (roc, ("ROC", "false positive rate", "true positive rate")),
            (precision, ("Precision and recall", "recall", "precision")),
            (reliable, ("Reliability", "mean confidence of 10 bins", "share right")),
        ):
            axes.set_title(titles[0])
            axes.set_xlabel(titles[1])
            axes.set_ylabel(titles[2])
            axes.set_ylim(-0.03, 1.03)
            axes.set_xlim(-0.03, 1.03)
            light_grid(axes)
            short_ticks(axes.xaxis, axes.yaxis)
        if len(drawable) > 1:
            roc.legend(loc="lower right", fontsize=7.5, handlelength=2.6)
        figure.subplots_adjust(left=0.06, right=0.985, top=0.91, bottom=0.155, wspace=0.24)

    return drawn(9.6, 3.3, draw, placed=True)


def rates(positive: NDArray[np.bool_], scores: Floats) -> tuple[Floats, Floats, Floats]:
    """False and true positive rate and precision at each threshold, from the highest on; the first is above all."""
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    right = np.cumsum(positive[order])[ends]
    taken = ends + 1
    positives, negatives = int(positive.sum()), int((~positive).sum())
    false, true = (taken - right) / negatives, right / positives
    return np.append(0.0, false), np.append(0.0, true), np.append(1.0, right / taken)


def _reliability(axes: Axes, labels: NDArray[np.int64], probabilities: Floats) -> None:
    confidence = probabilities.max(axis=1)
    right = (probabilities.argmax(axis=1) == labels).astype(np.float64)
    bins = np.minimum((confidence * RELIABILITY_BINS).astype(np.int64), RELIABILITY_BINS - 1)
    rows = np.bincount(bins, minlength=RELIABILITY_BINS)
    there = np.flatnonzero(rows)
    x = np.bincount(bins, confidence, RELIABILITY_BINS)[there] / rows[there]
    y = np.bincount(bins, right, RELIABILITY_BINS)[there] / rows[there]
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=0.9, linestyle=":")
    error = 1.96 * np.sqrt(np.maximum(y * (1 - y), 0.25 / rows[there]) / rows[there])
    axes.vlines(x, np.maximum(y - error, 0), np.minimum(y + error, 1), color=BLUE, linewidth=1, alpha=0.6)
    axes.scatter(x, y, s=14 + 120 * rows[there] / rows.sum(), color=BLUE, zorder=3)


def importance(found: Sequence[Importance], unit: str) -> bytes:
    """The most important columns as bars with their intervals, the first above."""
    bars = list(found[:BARS_UP_TO])
    names = safe_labels([b.column for b in bars], 28)

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        places = np.arange(len(bars))
        rises = np.array([b.rise for b in bars])
        axes.barh(places, rises, height=0.62, color=BLUE)
        axes.hlines(places, [b.low for b in bars], [b.high for b in bars], color=INK, linewidth=1.1)
        axes.axvline(0, color=INK, linewidth=0.8)
        axes.set_yticks(places, names)
        axes.invert_yaxis()
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel(f"rise of the {unit} when the column is shuffled")
        short_ticks(axes.xaxis)
        figure.subplots_adjust(
            left=room(names, WIDTH), right=0.97, top=1 - 0.12 / height, bottom=0.55 / height
        )

    height = 0.75 + ROW * max(3, len(bars))
    return drawn(WIDTH, height, draw, placed=True)


def slice_scores(found: Sequence[Slice], overall: float, score: str) -> bytes:
    """The slices that are most likely worse, as points with their intervals beside the score of all rows."""
    looked = sorted(found, key=lambda s: s.p)[:SLICES_UP_TO]
    names = safe_labels([f"{s.column}: {s.part} ({s.rows:,})" for s in looked], 44)

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.axvline(overall, color=FAINT, linewidth=1.1, linestyle=":", label=f"all rows {overall:.3g}")
        for place, part in enumerate(looked):
            colour = VERMILION if part.worse else BLUE
            axes.hlines(place, part.low, part.high, color=colour, linewidth=1.4)
            axes.plot([part.score], [place], marker="D" if part.worse else "o", color=colour, markersize=5)
        axes.set_yticks(range(len(looked)), names)
        axes.set_ylim(max(len(looked), 3) - 0.5, -0.6)
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel(f"{score}; diamonds are worse beyond chance")
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0)
        short_ticks(axes.xaxis)
        figure.subplots_adjust(
            left=room(names, WIDTH), right=0.97, top=1 - 0.35 / height, bottom=0.55 / height
        )

    height = 0.95 + ROW * max(3, len(looked))
    return drawn(WIDTH, height, draw, placed=True)
