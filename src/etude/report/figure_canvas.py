"""Where figures are drawn: matplotlib's object interface (never pyplot), the same bytes on every call.

Colours are Okabe and Ito's (2008), told apart by colour-blind eyes; every figure brings its own white ground,
so that it reads on a light and on a dark page.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

BLUE, VERMILION, GREEN, ORANGE, SKY = "#0072B2", "#D55E00", "#009E73", "#E69F00", "#56B4E9"
INK, FAINT = "#262626", "#6b6b6b"
FONT = "DejaVu Sans"  # comes with matplotlib: the same glyphs on every machine
MISSING_GLYPH = "\N{WHITE SQUARE}"
DOTS_PER_INCH = 110

STYLE: dict[Any, Any] = {
    "font.family": FONT,
    "font.size": 9.5,
    "text.color": INK,
    "text.parse_math": False,  # a "$" in a label is a dollar
    "figure.constrained_layout.h_pad": 0.1,
    "figure.constrained_layout.w_pad": 0.1,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.titlecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
}


def drawn(
    width: float, height: float, draw: Callable[[Figure], None], *, cut: bool = False, placed: bool = False
) -> bytes:
    """PNG bytes of what ``draw`` puts on a figure of that size (inches); no date, no software version inside.

    ``cut``: to the size of what is drawn, which takes drawing it twice. ``placed``: ``draw`` sets the margins itself,
    which halves the time. The user's own matplotlib settings
    do not apply, and are as before afterwards.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        figure = Figure(
            figsize=(width, height),
            dpi=DOTS_PER_INCH,
            layout=None if placed else "constrained",
            facecolor="white",
        )
        FigureCanvasAgg(figure)
        draw(figure)
        content = io.BytesIO()
        box: dict[str, Any] = {"bbox_inches": "tight", "pad_inches": 0.12} if cut else {}
        figure.savefig(content, format="png", metadata={"Software": None}, **box)
    return content.getvalue()


def safe_text(text: object, characters: int = 24) -> str:
    """One line of at most so many characters that the font can draw; what it cannot is a white square."""
    glyphs = _glyphs()
    line = "".join(c if c.isprintable() and ord(c) in glyphs else MISSING_GLYPH for c in str(text)[:1_000])
    return line if len(line) <= characters else line[: characters - 1] + "…"


def safe_labels(labels: list[str], characters: int = 24, lines: int = 1) -> list[str]:
    """``safe_text`` of each, on up to ``lines`` lines of so many characters; labels that lost what sets them apart get
    their number in front."""
    safe = [safe_text(label, characters * lines) for label in labels]
    unclear = [s for s in safe if MISSING_GLYPH in s or safe.count(s) > 1 or not s.strip()]
    numbered = [f"{i}: {s}" if s in unclear else s for i, s in enumerate(safe)]
    return [_wrapped(label, characters, lines) for label in numbered]


def _wrapped(label: str, characters: int, lines: int) -> str:
    """Broken at blanks where there are some; nothing is lost for want of a line."""
    import textwrap

    if lines == 1 or len(label) <= characters:
        return label
    return "\n".join(textwrap.wrap(label, max(characters, -(-len(label) // lines) + 3)))


@cache
def _glyphs() -> frozenset[int]:
    from matplotlib.font_manager import findfont, get_font

    return frozenset(get_font(findfont(FONT)).get_charmap())


def room(labels: Sequence[str], width: float) -> float:
    """The share of a figure of that width (inches) that the longest tick label needs beside its axis."""
    return (0.35 + 0.075 * max((len(label) for label in labels), default=0)) / width


def short(number: float) -> str:
    """A tick's number without powers of ten up to a billion: ``0.05``, ``1,500``, ``20k``, ``1.5M``."""
    for least, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if least <= abs(number) < 1e12:
            return f"{number / (1e3 if letter == 'k' else least):,.4g}{letter}"
    return f"{number:,.4g}" if abs(number) < 1e12 else f"{number:.2g}"


def short_ticks(*axes: Axis) -> None:
    from matplotlib.ticker import FuncFormatter

    for axis in axes:
        axis.set_major_formatter(FuncFormatter(lambda number, _: short(number)))


def light_grid(axes: Axes) -> None:
    axes.grid(axis="y", color="#e4e4e4", linewidth=0.7)
    axes.set_axisbelow(True)


def visible_blues() -> Colormap:
    """Blues without the palest third, so that a single row shows on white."""
    from matplotlib import colormaps
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("visible_blues", colormaps["Blues"]([0.3, 0.55, 0.8, 1.0]))
