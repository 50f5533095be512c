"""The picture of a learning rate range test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from etude.report.figure_canvas import BLUE, VERMILION, drawn, light_grid, short_ticks

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def rate_curve(rates: Sequence[float], losses: Sequence[float], suggestion: float) -> bytes:
    """Loss by learning rate on a logarithmic axis as PNG, the suggestion marked."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.plot(rates, losses, color=BLUE)
        axes.set_xscale("log")
        short_ticks(axes.xaxis)  # matplotlib's own are formulas, which are not set here
        axes.axvline(suggestion, color=VERMILION, linestyle="--", label=f"falls fastest at {suggestion:.2g}")
        axes.set_xlabel("learning rate")
        axes.set_ylabel("loss, smoothed")
        light_grid(axes)
        axes.legend(frameon=False)

    return drawn(6.4, 3.6, draw)
