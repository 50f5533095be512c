"""The pictures of a run, as PNG bytes: the learning curve, the confusion matrix, the residuals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from etude.report.figure_canvas import (
    BLUE,
    GREEN,
    INK,
    ORANGE,
    VERMILION,
    drawn,
    light_grid,
    safe_labels,
    safe_text,
    short,
    short_ticks,
    visible_blues,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from etude.evaluation.loss_curves import Epoch

LOGARITHMIC_FROM = 30  # highest over lowest loss
NUMBERS_UP_TO = 30  # classes whose counts are written into the matrix
LINE = 0.15  # inches of a label's line
POINTS_UP_TO = 2_000  # rows drawn as points; more are drawn as density

Floats = NDArray[np.float64]


def learning_curve(
    history: Sequence[Epoch],
    *,
    best_epoch: int,
    onset: int | None = None,
    verdict: str = "overfitting",
    title: str = "",
) -> bytes:
    """Train and validation loss by epoch above, their score below; the kept epoch is marked, and the epochs from
    ``onset`` on with the ``verdict`` on them. Around validation loss lies what its rows leave open (95 %).
    """
    score = "accuracy" if history and "accuracy" in history[0].validation else "r2"

    def draw(figure: Figure) -> None:
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
        _pair(above, history, [e.train_loss for e in history], [e.validation_loss for e in history])
        _pair(below, history, _scores([e.train for e in history], score),
              _scores([e.validation for e in history], score))  # fmt: skip
        _loss_scale(above, [e.validation_loss for e in history])
        _open_range(above, history)
        above.set_ylabel("loss")
        below.set_ylabel("accuracy" if score == "accuracy" else "R²")
        _epoch_axis(below, history)
        _mark(above, below, history, best_epoch, onset, verdict)
        figure.align_ylabels()
        figure.legend(
            *above.get_legend_handles_labels(),
            title=safe_text(title, 80) if title else None,
            title_fontsize=11,
            alignment="left",
            ncols=4,
            loc="outside upper left",
            handlelength=1.8,
        )

    return drawn(7.2, 5.0, draw)


def confusion_matrix(labels: Sequence[str], counts: NDArray[np.int64]) -> bytes:
    """Rows by actual and predicted class (``counts[actual, predicted]``), coloured by share of the actual class."""
    from matplotlib.colors import PowerNorm

    classes = len(labels)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    cell = float(np.clip(5.5 / classes, 0.34, 0.8))
    names = safe_labels(list(labels), lines=min(3, max(1, int(cell / LINE))))
    longest = max(len(line) for name in names for line in name.split("\n")) * 0.075

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        # The root of the share makes rare errors visible beside a dark diagonal.
        image = axes.imshow(shares, cmap="Blues", norm=PowerNorm(0.5, vmin=0, vmax=1), aspect="equal")
        every = range(0, classes, -(-classes // 45))
        long = longest > cell
        axes.set_yticks(every, [names[i] for i in every])
        axes.set_xticks(every, [names[i] for i in every], rotation=90 if long else 0)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        axes.set_ylabel("actual")
        axes.set_xlabel("predicted")
        right, rows = int(np.trace(counts)), int(counts.sum())
        axes.set_title(f"{right:,} of {_rows(rows)} right")
        if classes <= NUMBERS_UP_TO:
            _write_counts(axes, counts, shares, cell)
        bar = figure.colorbar(image, ax=axes, shrink=min(1.0, 2.5 / (cell * classes)), pad=0.02)
        bar.set_label("share of the actual class")
        bar.outline.set_visible(False)

    side = min(cell * classes, 11)
    return drawn(side + longest + 1.6, side + (longest if longest > cell else 0.3) + 0.9, draw, cut=True)


def residuals(target: Floats, prediction: Floats) -> bytes:
    """Actual against predicted values beside the distribution of the errors; rows that are not finite are left out."""
    finite = np.isfinite(target) & np.isfinite(prediction)
    actual, predicted = np.asarray(target)[finite], np.asarray(prediction)[finite]

    def draw(figure: Figure) -> None:
        left, right = figure.subplots(1, 2, width_ratios=(1, 1))
        _actual_by_predicted(left, actual, predicted)
        _errors(right, actual - predicted)
        short_ticks(left.xaxis, left.yaxis, right.xaxis, right.yaxis)

    return drawn(8.4, 4.0, draw)


def _pair(axes: Axes, history: Sequence[Epoch], train: Sequence[float], validation: Sequence[float]) -> None:
    epochs = [e.epoch for e in history]
    marker = "o" if len(epochs) <= 40 else ""
    for label, values, colour, line in (
        ("train", train, BLUE, (0, (4, 1.5))),
        ("validation", validation, VERMILION, "-"),
    ):
        finite = np.where(np.isfinite(values), values, np.nan)
        axes.plot(epochs, finite, color=colour, linestyle=line, label=label, marker=marker, markersize=3.5)
    light_grid(axes)


def _scores(metrics: list[Mapping[str, float | None]], name: str) -> list[float]:
    values = [m.get(name) for m in metrics]
    return [np.nan if v is None else v for v in values]


def _epoch_axis(axes: Axes, history: Sequence[Epoch]) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
    if history:
        axes.set_xlim(history[0].epoch - 0.5, history[-1].epoch + 0.5)


def _loss_scale(axes: Axes, validation: Sequence[float]) -> None:
    """By validation's range: on a scale wide enough for train rows known by heart, its rise would look level."""
    values = np.asarray(validation, dtype=float)
    values = values[np.isfinite(values)]
    drawn = np.concatenate([np.asarray(line.get_ydata(), dtype=float) for line in axes.get_lines()])
    if len(values) and np.nanmin(drawn) > 0 and values.max() / values.min() > LOGARITHMIC_FROM:
        axes.set_yscale("log")
        axes.minorticks_off()
    short_ticks(axes.yaxis)


def _open_range(axes: Axes, history: Sequence[Epoch]) -> None:
    """Two standard errors to both sides, where epochs know them; the scale stays that of the losses."""
    errors = [getattr(e, "errors", {}).get("validation_loss", np.nan) for e in history]
    loss, reach = np.array([e.validation_loss for e in history]), 1.96 * np.array(errors)
    if np.isfinite(reach).any():
        limits = axes.get_ylim()
        axes.fill_between(
            [e.epoch for e in history], loss - reach, loss + reach, color=VERMILION, alpha=0.15, linewidth=0
        )
        axes.set_ylim(limits)


def _mark(
    above: Axes, below: Axes, history: Sequence[Epoch], best_epoch: int, onset: int | None, verdict: str
) -> None:
    last = history[-1].epoch if history else best_epoch
    for axes in (above, below):
        if onset is not None:
            axes.axvspan(onset, last + 0.5, color=ORANGE, alpha=0.16, linewidth=0,
                         label=f"{verdict} from epoch {onset} on")  # fmt: skip
        axes.axvline(best_epoch, color=GREEN, linewidth=1.4, linestyle=":", label=f"kept: epoch {best_epoch}")


def _write_counts(axes: Axes, counts: NDArray[np.int64], shares: Floats, cell: float) -> None:
    size = float(np.clip(cell * 16, 5.5, 9.5))
    for i, j in np.argwhere(counts > 0):
        ink = "white" if shares[i, j] > 0.3 else INK
        count = axes.text(j, i, _compact(int(counts[i, j]), cell), ha="center", va="center", color=ink)
        count.set_fontsize(size)
        count.set_in_layout(False)


def _rows(count: int) -> str:
    return f"{count:,} row" if count == 1 else f"{count:,} rows"


def _compact(count: int, cell: float) -> str:
    """The count in full where the cell has room for it."""
    if count < 1_000 or cell >= 0.6:
        return f"{count:,}"
    return f"{count / 1e3:.2g}k" if count < 99_500 else f"{count / 1e6:.2g}M"


def _actual_by_predicted(axes: Axes, actual: Floats, predicted: Floats) -> None:
    if len(actual) <= POINTS_UP_TO:
        axes.scatter(predicted, actual, s=12, color=BLUE, alpha=0.55, linewidths=0)
    else:
        axes.hexbin(
            predicted, actual, gridsize=60, bins="log", cmap=visible_blues(), mincnt=1, linewidths=0.1
        )
    if len(actual):
        ends = [min(actual.min(), predicted.min()), max(actual.max(), predicted.max())]
        axes.plot(ends, ends, color=VERMILION, linewidth=1.2, linestyle="--", label="actual = predicted")
        axes.legend(loc="upper left")
    axes.set_xlabel("predicted")
    axes.set_ylabel("actual")
    axes.set_title(_rows(len(actual)))


def _errors(axes: Axes, errors: Floats) -> None:
    if len(errors):
        low, high = np.quantile(errors, (0.005, 0.995))
        inside = errors[(errors >= low) & (errors <= high)]
        axes.hist(inside, bins=int(np.clip(len(inside) ** 0.5, 5, 60)), color=BLUE, alpha=0.8)
        axes.axvline(0, color=INK, linewidth=0.9)
        middle = float(np.median(errors))
        axes.axvline(middle, color=VERMILION, linewidth=1.2, linestyle="--")
        axes.set_title(f"median error {short(float(f'{middle:.3g}'))}")
    axes.set_xlabel("actual - predicted (the middle 99 %)")
    axes.set_ylabel("rows")
    light_grid(axes)
