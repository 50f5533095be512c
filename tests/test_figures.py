from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from dataclasses import dataclass, field
from io import BytesIO

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.image import imread

from etude.report.figure_canvas import ORANGE, drawn, safe_labels, safe_text, short
from etude.report.figures import confusion_matrix, learning_curve, residuals

HOSTILE = [
    "$x_1^{2$",
    "cost in $ and $",
    "\x1b[31mred\x00\n\t",
    "\u202eevil",
    "\ud800",
    "😀🫠",
    "שלום עליכם",
    "中文标签",
    "a" * 100_000,
    "<script>",
    "",
    " ",
    r"\frac{1}{0}",
    "e\u0301\u0301",
]


@dataclass(frozen=True)
class Epoch:
    epoch: int
    train_loss: float
    validation_loss: float
    train: dict[str, float | None] = field(default_factory=lambda: {"accuracy": 0.9})
    validation: dict[str, float | None] = field(default_factory=lambda: {"accuracy": 0.8})


def history(epochs: int) -> list[Epoch]:
    return [Epoch(1 + i, 1 / (1 + i), 0.5 + abs(i - 5) / 20) for i in range(epochs)]


def pixels(png: bytes) -> np.ndarray:
    return imread(BytesIO(png), format="png")


def chunks(png: bytes) -> dict[bytes, bytes]:
    found, at = {}, 8
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        found[png[at + 4 : at + 8]] = png[at + 8 : at + 8 + length]
        at += 12 + length
    return found


def share_of(png: bytes, colour: str) -> float:
    """Of the pixels, those within rounding of the colour."""
    wanted = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return float((np.abs(pixels(png)[..., :3] - wanted).max(axis=2) < 0.02).mean())


def test_the_same_input_gives_the_same_bytes_without_date_or_software() -> None:
    first, again = (learning_curve(history(20), best_epoch=6, onset=6, title="t") for _ in range(2))
    assert first == again
    assert set(chunks(first)) == {b"IHDR", b"pHYs", b"IDAT", b"IEND"}
    assert len(zlib.decompress(chunks(first)[b"IDAT"])) > 100_000


def test_bytes_do_not_depend_on_the_users_matplotlib_settings_and_leave_them_alone() -> None:
    plain = learning_curve(history(20), best_epoch=6)
    with mpl.rc_context(
        {"figure.facecolor": "black", "text.usetex": True, "font.size": 30, "savefig.dpi": 30}
    ):
        before = dict(mpl.rcParams)
        assert learning_curve(history(20), best_epoch=6) == plain
        assert dict(mpl.rcParams) == before


def test_pyplot_is_never_imported_and_nothing_heavy_before_the_first_figure() -> None:
    code = (
        "import sys, etude.report.figures as f, etude.report.data_overview, etude.report.data_report\n"
        "assert not any(m.startswith(('matplotlib', 'jinja2', 'pyarrow')) for m in sys.modules)\n"
        "import numpy as np; f.residuals(np.arange(9.0), np.arange(9.0))\n"
        "assert 'matplotlib.figure' in sys.modules; assert 'matplotlib.pyplot' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_ground_is_white_so_that_the_figure_reads_on_a_dark_page() -> None:
    image = pixels(confusion_matrix(["a", "b"], np.array([[3, 1], [0, 2]])))
    assert (image[0, :, :3] == 1).all()
    assert (image[..., 3] == 1).all()


@pytest.mark.parametrize("epochs", [1, 2, 2_000])
def test_learning_curves_of_any_length_are_drawn(epochs: int) -> None:
    assert pixels(learning_curve(history(epochs), best_epoch=min(6, epochs))).shape[1] > 600


def test_the_onset_colours_the_epochs_after_it() -> None:
    shaded = mpl.colors.to_hex(0.16 * np.array(mpl.colors.to_rgb(ORANGE)) + 0.84)
    early, late, none = (
        share_of(learning_curve(history(40), best_epoch=6, onset=onset), shaded) for onset in (6, 30, None)
    )
    assert early > 2 * late > 0
    assert none == 0


def test_undefined_scores_and_losses_that_are_not_finite_are_left_out() -> None:
    epochs = [
        Epoch(1, 1.0, np.nan, {"r2": None}, {"r2": None}),
        Epoch(2, np.inf, 0.5, {"r2": None}, {"r2": None}),
    ]
    assert learning_curve(epochs, best_epoch=2, onset=1)
    assert learning_curve([Epoch(1, np.nan, np.nan), Epoch(2, np.nan, np.nan)], best_epoch=1)
    assert learning_curve([Epoch(1, 0.0, -1e300), Epoch(2, 1e300, 1e-300)], best_epoch=1)


@pytest.mark.parametrize("classes", [1, 2, 30, 120])
def test_confusion_matrices_of_any_size_fit_on_a_page(classes: int) -> None:
    counts = np.random.Generator(np.random.PCG64(0)).integers(0, 10**9, (classes, classes))
    height, width, _ = pixels(confusion_matrix([f"class {i}" for i in range(classes)], counts)).shape
    assert 150 < height < 1_800
    assert 250 < width < 1_800


def test_a_class_that_never_occurs_is_an_empty_row() -> None:
    assert confusion_matrix(["a", "b"], np.array([[5, 0], [0, 0]]))
    assert confusion_matrix(["a", "b"], np.zeros((2, 2), dtype=np.int64))


def test_hostile_labels_are_harmless() -> None:
    counts = np.eye(len(HOSTILE), dtype=np.int64)
    assert pixels(confusion_matrix(HOSTILE, counts)).shape[1] < 1_800
    assert learning_curve(history(3), best_epoch=1, title=" ".join(text[:9] for text in HOSTILE))


def test_labels_keep_what_sets_them_apart() -> None:
    labels = safe_labels(HOSTILE)
    assert len(set(labels)) == len(HOSTILE)
    assert max(len(label) for label in labels) <= 24 + len("10: ")
    assert safe_labels(["a" * 40 + "1", "a" * 40 + "2", "b"]) == [
        "0: " + "a" * 23 + "…",
        "1: " + "a" * 23 + "…",
        "b",
    ]
    assert safe_text("cost $") == "cost $"
    assert safe_text("中a") == "\N{WHITE SQUARE}a"


@pytest.mark.parametrize("rows", [0, 1, 20_000])
def test_residuals_of_any_number_of_rows_are_drawn(rows: int) -> None:
    target = np.random.Generator(np.random.PCG64(0)).standard_normal(rows)
    assert pixels(residuals(target, target * 0.9)).shape[1] > 600


@pytest.mark.parametrize("scale", [0.0, 1e-300, 1e300])
def test_residuals_of_any_scale_are_drawn(scale: float) -> None:
    target = scale * np.linspace(-1, 1, 50)
    assert residuals(target, -target)
    assert residuals(target.repeat(100), -target.repeat(100))


def test_rows_that_are_not_finite_are_left_out_of_residuals() -> None:
    with_broken = residuals(np.array([1.0, 2.0, np.nan, 4.0]), np.array([1.5, 2.0, 3.0, np.inf]))
    assert with_broken == residuals(np.array([1.0, 2.0]), np.array([1.5, 2.0]))


def test_ticks_are_short_numbers_without_powers_of_ten() -> None:
    assert [short(v) for v in (0, 0.05, -1500, 20_000, 1.5e6, 3e9)] == [
        "0", "0.05", "-1,500", "20k", "1.5M", "3G",
    ]  # fmt: skip


def test_a_figure_that_cannot_be_drawn_leaves_the_settings_as_they_were() -> None:
    before = dict(mpl.rcParams)
    with pytest.raises(ZeroDivisionError):
        drawn(2, 2, lambda figure: 1 / 0)
    assert dict(mpl.rcParams) == before


def test_long_labels_are_broken_into_lines_and_not_cut() -> None:
    names = ["Adelie Penguin (Pygoscelis adeliae)", "Gentoo penguin (Pygoscelis papua)", "short"]
    found = safe_labels(names, 24, lines=3)
    assert [" ".join(label.split("\n")) for label in found] == names
    assert max(len(line) for label in found for line in label.split("\n")) <= 24
    assert safe_labels(["x" * 100], 24, lines=2)[0].replace("\n", "") == "x" * 47 + "…"


def test_the_loss_scale_is_validations_so_that_its_rise_beside_known_train_rows_is_seen() -> None:
    from matplotlib.figure import Figure

    from etude.report.figures import _loss_scale

    for validation, scale in (([1.2, 1.0, 2.0], "linear"), ([9.0, 0.5, 0.1], "log")):
        axes = Figure().subplots()
        axes.plot([1, 2, 3], [1.0, 0.01, 0.0001])
        axes.plot([1, 2, 3], validation)
        _loss_scale(axes, validation)
        assert axes.get_yscale() == scale
