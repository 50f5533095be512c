"""A block of columns that is an image: recognised, overruled, shaped, and learned from by convolutions."""

import numpy as np
import pyarrow as pa
import pytest
import torch

from etude.columns import parsing, schema
from etude.columns.pixels import grids
from etude.encoding import encoder as encoding
from etude.encoding.encoder import Encoder
from etude.encoding.pixels import PixelEncoder
from etude.errors import DataError
from etude.experiment import Data, Network, TrainKeys
from etude.networks.auto import choose
from etude.networks.build import build
from etude.networks.sizes import Sizes

SIDE = 6
NAMES = [f"pixel_{row}_{column}" for row in range(SIDE) for column in range(SIDE)]


def images(rows: int = 60) -> dict[str, list[float]]:
    """A bright bar, lying or standing; the corner cell is always dark."""
    draw = np.random.default_rng(4)
    cells = draw.integers(0, 4, (rows, SIDE, SIDE)).astype(float)
    for i in range(rows):
        place = draw.integers(1, SIDE)
        cells[(i, place) if i % 2 else (i, slice(None), place)] += 12
    cells[:, 0, 0] = 0
    return {name: cells[:, i // SIDE, i % SIDE].tolist() for i, name in enumerate(NAMES)}


def table(**more) -> pa.Table:
    columns = {**images(), **more}
    rows = len(columns[NAMES[0]])
    return pa.table({**columns, "bar": ["lying" if i % 2 else "standing" for i in range(rows)]})


def kinds(raw: pa.Table, **data) -> dict[str, str]:
    return {c.name: c.kind for c in schema.infer(raw, Data(source="t", target="bar", **data)).columns}


def fitted(raw: pa.Table, features: list[str], **data) -> Encoder:
    settings = Data(source="t", target="bar", **data)
    known = schema.infer(raw, settings)
    return encoding.fit(parsing.parse(raw, known).table, known, settings, "classification", 0, features)


def test_a_complete_grid_of_one_range_is_an_image_with_its_evidence():
    found = schema.infer(table(age=list(range(60))), Data(source="t", target="bar"))
    assert {c.kind for c in found.columns if c.name in NAMES} == {"pixels"}
    assert found.column("age").kind == "number"
    said = "cell of a 6 x 6 image in the columns pixel_0_0 to pixel_5_5, all values from 0 to 15"
    assert found.column("pixel_3_3").evidence == said
    assert schema.Schema.from_json(found.to_json()) == found


def test_texts_of_a_csv_are_recognised_too():
    texts = {name: [f"{value:g}" for value in values] for name, values in images().items()}
    assert kinds(pa.table({**texts, "bar": ["a", "b"] * 30}))["pixel_2_2"] == "pixels"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda t: t.drop_columns(["pixel_2_3"]),
        lambda t: t.set_column(0, "pixel_0_0", pa.array([-1.0] * 60)),
        lambda t: t.set_column(0, "pixel_0_0", pa.array([1e6] * 60)),
        lambda t: t.set_column(0, "pixel_0_0", pa.array(["dark", "light"] * 30)),
    ],
    ids=["a cell is missing", "negative", "another range", "another kind"],
)
def test_what_is_no_image_stays_numbers(spoil):
    assert kinds(spoil(table()))["pixel_3_3"] == "number"


def test_one_cell_declared_a_number_makes_all_of_them_numbers():
    assert set(kinds(table(), columns={"pixel_0_0": "number"}).values()) == {"number", "category"}


def test_declared_pixels_need_one_complete_grid():
    declared = dict.fromkeys(NAMES[:7], "pixels")
    with pytest.raises(DataError, match="E044 columns of kind pixels must be one complete grid"):
        fitted(table(), NAMES, columns=declared | dict.fromkeys(NAMES[7:], "number"))


@pytest.mark.parametrize(
    ("names", "shape"),
    [
        ([f"{r}x{c}" for r in range(1, 29) for c in range(1, 29)], (1, 28, 28)),
        ([f"p_{r}_{c}_{k}" for k in range(3) for r in range(4) for c in range(5)], (3, 4, 5)),
        ([f"x{i}" for i in range(64)], None),
        ([f"q1_{i}" for i in range(30)], None),
    ],
)
def test_shapes_come_from_the_names(names, shape):
    found = grids(reversed(names))
    assert [grid.shape for grid in found] == ([shape] if shape else [])
    assert not found or found[0].names == tuple(sorted(names, key=names.index)) or shape[0] == 3


def test_an_image_is_encoded_whole_and_first_whatever_the_order_of_columns():
    raw = table(age=[i % 7 for i in range(60)])
    encoder = fitted(raw, ["age", *reversed(NAMES)])
    assert encoder.image == (1, SIDE, SIDE)
    assert encoder.number_names == (*NAMES, "age")
    assert encoder.measured == (36,)
    encoded = encoder.transform(raw).numbers[:, :36]
    cells = np.stack([raw[name].to_numpy() for name in NAMES], axis=1)
    assert np.allclose(encoded, (cells - cells.mean()) / cells.std(), atol=1e-5)
    again = Encoder.from_bytes(encoder.to_bytes())
    assert np.array_equal(again.transform(raw).numbers[:, :36], encoded)


def test_auto_sees_the_image_and_the_network_runs_on_it():
    encoder = fitted(table(), NAMES)
    sizes = Sizes(36, (), 2, "classification", encoder.image, encoder.measured)
    choice = choose(Network(), TrainKeys(), sizes, 60)
    assert choice.network.kind == "cnn"
    assert "6 x 6" in choice.why
    network = build(choice.network, sizes, 0).eval()
    outputs = network(torch.from_numpy(encoder.transform(table()).numbers), torch.zeros(60, 0))
    assert outputs.shape == (60, 2)


def test_cells_far_from_the_others_are_held_within_five_deviations():
    cells = PixelEncoder("p", center=8.0, scale=2.0, shape=(1, 4, 4)).numbers(
        pa.chunked_array([pa.array([1e6, -1e6, 10.0, None])])
    )
    assert cells.tolist() == [[5.0], [-5.0], [1.0], [0.0]]


def test_cells_of_which_most_stay_dark_are_no_image():
    columns = images()
    dark = {name: [v / 1_000 for v in values] for name, values in list(columns.items())[2:]}
    assert "pixels" in kinds(table()).values()
    assert "pixels" not in kinds(table(**dark)).values()
