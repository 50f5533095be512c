"""The same table is the same snapshot, from whatever file in whatever pieces; any other table is another."""

from __future__ import annotations

import datetime as dt
import io

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etude.columns.parsing import from_frame, parse
from etude.columns.schema import infer
from etude.experiment import Data
from etude.reading import any_table as reading
from etude.snapshot import digest, from_bytes, row_hashes, to_bytes

ROWS = 12_000


def canonical(raw: pa.Table, **more) -> pa.Table:
    return parse(raw, infer(raw, Data(source="t", target="y", **more))).table


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    """One column of every native type, with blanks."""
    generator = np.random.default_rng(7)
    days = pd.Timestamp("1969-12-01") + pd.to_timedelta(generator.integers(0, 40_000, ROWS), unit="h")
    frame = pd.DataFrame(
        {
            "whole": pd.array(generator.integers(-5, 99, ROWS), dtype="Int64"),
            "float": generator.normal(size=ROWS) * 10.0 ** generator.integers(-20, 20, ROWS),
            "float32": generator.normal(size=ROWS).astype("float32"),
            "truth": pd.array(generator.integers(0, 2, ROWS).astype(bool), dtype="boolean"),
            "date": days.date,
            "instant": days,
            "zoned": days.tz_localize("UTC").tz_convert("Europe/Paris"),
            "level": pd.Categorical(generator.choice(["NA", "b, c", 'd "e"', "é"], ROWS)),
            "code": [f"{i:06d}" for i in range(ROWS)],
            "long": pd.array(generator.integers(2**60, 2**62, ROWS), dtype="Int64"),
            "exact": pd.array(
                generator.integers(0, 2**55, ROWS) >> generator.integers(0, 50, ROWS), dtype="Int64"
            ),
            "text": [f"line {i}\nand  another, of {i} words" for i in range(ROWS)],
            "one truth": True,
            "nothing": pd.Series([None] * ROWS, dtype=object),
            "y": generator.integers(0, 2, ROWS),
        }
    )
    for i, name in enumerate(frame.columns[:-3]):
        frame.loc[generator.random(ROWS) < 0.02 * (i % 3), name] = None
    return frame


def test_csv_parquet_and_frame_give_the_same_snapshot(frame, tmp_path) -> None:
    frame.to_csv(tmp_path / "t.csv", index=False)
    stored, native = io.BytesIO(), from_frame(frame)
    level = native.column_names.index("level")
    native = native.set_column(level, "level", native.column("level").dictionary_encode())
    pyarrow.parquet.write_table(native, stored)
    tables = [
        canonical(reading.read(Data(source="t.csv", target="y"), tmp_path).table),
        canonical(pyarrow.parquet.read_table(stored)),
        canonical(from_frame(frame)),
    ]
    assert tables[0].schema == tables[1].schema == tables[2].schema
    for name in frame.columns:
        assert tables[0].column(name).equals(tables[1].column(name)), name
        assert tables[0].column(name).equals(tables[2].column(name)), name
    assert len({digest(table) for table in tables}) == 1
    types = {name: str(tables[0].schema.field(name).type) for name in frame.columns}
    assert types["exact"] == "int64"
    assert types["long"] == types["code"] == "string"
    assert types["zoned"] == "timestamp[us, tz=UTC]"


def test_the_digest_is_this_one() -> None:
    table = pa.table(
        {"a": [1.5, None], "b": ["é", ""], "c": [True, False], "d": pa.array([0, 1], pa.timestamp("us"))}
    )
    assert digest(table) == "caca8b2c0adb06cc3dfbaa691f43535e199bd99964b1090f7f88d9a3aaec632a"


def test_chunks_file_types_and_metadata_do_not_change_the_digest(frame) -> None:
    table = canonical(from_frame(frame))
    pieces = pa.concat_tables([table.slice(0, 1), table.slice(1, 0), table.slice(1, 5000), table.slice(5001)])
    dictionaries = table.set_column(7, "level", table.column("level").dictionary_encode())
    large = table.set_column(7, "level", table.column("level").cast(pa.large_string()))
    for other in (
        pieces,
        table.combine_chunks(),
        dictionaries,
        large,
        table.replace_schema_metadata({"a": "b"}),
    ):
        assert digest(other) == digest(table)


CHANGES = {
    "a late row": ("float", ROWS - 1, 3.25),
    "a date": ("date", 10_500, dt.datetime(1999, 1, 1)),
    "a truth value": ("truth", 11_000, None),
    "one level": ("level", 10_001, "b"),
    "a level gone": ("level", 10_001, None),
    "an empty level": ("level", 10_001, ""),
}


@pytest.mark.parametrize(("name", "row", "value"), CHANGES.values(), ids=CHANGES)
def test_one_changed_cell_changes_the_digest(frame, name, row, value) -> None:
    table = canonical(from_frame(frame))
    values = table.column(name).to_pylist()
    values[row] = value
    i = table.column_names.index(name)
    changed = table.set_column(i, name, pa.array(values, table.schema.field(name).type))
    assert digest(changed) != digest(table)


def test_names_order_types_and_borders_change_the_digest() -> None:
    tables = [
        pa.table({"a": [1.0], "b": [2.0]}),
        pa.table({"b": [2.0], "a": [1.0]}),
        pa.table({"a": [1.0], "c": [2.0]}),
        pa.table({"a": [1], "b": [2.0]}),
        pa.table({"a": ["1"], "b": [2.0]}),
        pa.table({"a": pa.array([None], pa.float64()), "b": [2.0]}),
        pa.table({"a": [0.0], "b": [2.0]}),
        pa.table({"a": ["ab", "c"]}),
        pa.table({"a": ["a", "bc"]}),
        pa.table({"a": ["abc", None]}),
        pa.table({"a": ["abc", ""]}),
        pa.table({"a": pa.array([], pa.string())}),
        pa.table({"a": pa.array([], pa.float64())}),
    ]
    assert len({digest(table) for table in tables}) == len(tables)


def test_bytes_come_back_and_do_not_depend_on_chunks(frame) -> None:
    table = canonical(from_frame(frame))
    content = to_bytes(table)
    assert from_bytes(content).equals(table)
    assert to_bytes(pa.concat_tables([table.slice(0, 777), table.slice(777)])) == content
    assert from_bytes(to_bytes(table.slice(0, 0))).schema == table.schema


def test_nothing_of_pandas_is_stored(frame) -> None:
    raw = pa.Table.from_pandas(frame[["float"]])
    assert b"pandas" in raw.schema.metadata
    assert b"pandas" not in to_bytes(raw)
    sink = io.BytesIO()
    with pa.ipc.new_file(sink, raw.schema) as writer:
        writer.write_table(raw)
    assert from_bytes(sink.getvalue()).schema.metadata is None


def test_row_hashes_are_these_ones() -> None:
    table = pa.table(
        {
            "number": [1.5, None, 0.0],
            "word": ["é", "", "x" * 300],
            "when": pa.array([0, 1, None], pa.timestamp("us")),
        }
    )
    assert row_hashes(table, table.column_names).tolist() == [
        4604344298994225958,
        16939916813649705742,
        16697427185615112839,
    ]


def test_equal_rows_hash_alike_in_any_chunks_order_and_number_type(frame) -> None:
    table = canonical(from_frame(frame))
    hashes = row_hashes(table, table.column_names)
    pieces = pa.concat_tables([table.slice(0, 1), table.slice(1, 0), table.slice(1)])
    assert (row_hashes(pieces, table.column_names) == hashes).all()
    assert (row_hashes(table, table.column_names[::-1]) == hashes).all()
    order = np.random.default_rng(0).permutation(ROWS)
    assert (row_hashes(table.take(order), table.column_names) == hashes[order]).all()
    numbers = pa.array([1, -3, 2**53, None])
    as_float = row_hashes(pa.table({"a": numbers.cast(pa.float64())}), ["a"])
    assert (row_hashes(pa.table({"a": numbers}), ["a"]) == as_float).all()
    assert len(set(row_hashes(pa.table({"a": [2**53, 2**53 + 1]}), ["a"]))) == 2


def test_different_rows_hash_differently() -> None:
    words = [
        "",
        "a",
        "aa",
        "a\0",
        "aaaaaaaa",
        "aaaaaaaa\0",
        "aaaaaaab",
        "a" * 16,
        "a" * 17,
        "a" * 256,
        "a" * 257,
        "a" * 258,
        None,
    ]
    assert len(set(row_hashes(pa.table({"a": words}), ["a"]))) == len(words)
    pairs = pa.table({"a": ["x", "y", "x", "y", None, ""], "b": ["y", "x", "x", "y", "", None]})
    assert len(set(row_hashes(pairs, ["a", "b"]))) == 6
    whole = pa.table({"a": np.arange(200_000)})
    assert len(set(row_hashes(whole, ["a"]).tolist())) == 200_000
    assert (row_hashes(pa.table({"b": [1.0]}), ["b"]) != row_hashes(pa.table({"a": [1.0]}), ["a"])).all()


def test_row_hashes_are_spread_evenly() -> None:
    """Places in a split come from them: every bit is set in half of the rows, within five standard errors."""
    for values in (np.arange(100_000.0), [f"row {i}" for i in range(100_000)]):
        hashes = row_hashes(pa.table({"a": values}), ["a"])
        bits = (hashes[:, None] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)
        assert np.abs(bits.mean(axis=0) - 0.5).max() < 5 * 0.5 / np.sqrt(100_000)


def columns_of(cells, type_):
    return st.lists(st.one_of(st.none(), cells), max_size=12).map(lambda values: pa.array(values, type_))


instants = st.datetimes(dt.datetime(1000, 1, 1), dt.datetime(2261, 1, 1))
columns = st.one_of(
    columns_of(st.text(max_size=10), pa.string()),
    columns_of(st.floats(allow_nan=False), pa.float64()),
    columns_of(st.booleans(), pa.bool_()),
    columns_of(instants, pa.timestamp("us")),
)


@settings(max_examples=60, deadline=None)
@given(columns, st.data())
def test_digests_and_hashes_are_equal_where_the_values_are(column, draw) -> None:
    other = draw.draw(
        columns_of(st.sampled_from([v for v in column.to_pylist() if v is not None] or [None]), column.type)
    )
    one, two = pa.table({"a": column}), pa.table({"a": other})
    assert (digest(one) == digest(two)) == (column.to_pylist() == other.to_pylist())
    cells, hashes = (
        [*column.to_pylist(), *other.to_pylist()],
        [*row_hashes(one, ["a"]), *row_hashes(two, ["a"])],
    )
    assert len(set(hashes)) == len(set(cells))


natives = st.one_of(
    st.lists(st.one_of(st.none(), st.integers(-(2**62), 2**62)), min_size=1, max_size=20),
    st.lists(st.one_of(st.none(), st.integers(-1000, 1000)), min_size=1, max_size=20),
    st.lists(st.one_of(st.none(), st.floats(allow_nan=False)), min_size=1, max_size=20),
    st.lists(st.one_of(st.none(), st.booleans()), min_size=1, max_size=20),
    st.lists(
        st.one_of(st.none(), st.dates(dt.date(1000, 1, 1), dt.date(2261, 1, 1))), min_size=1, max_size=20
    ),
    st.lists(st.one_of(st.none(), instants), min_size=1, max_size=20),
    st.lists(
        st.one_of(st.none(), st.sampled_from(["a", "b c", "007", "NA", "x,y"])), min_size=1, max_size=20
    ),
)


@settings(max_examples=80, deadline=None)
@given(natives)
def test_a_native_column_and_its_text_are_the_same(cells) -> None:
    native = pa.table({"x": pa.array(cells)})
    texts = [None if cell is None else repr(cell) if isinstance(cell, float) else str(cell) for cell in cells]
    text = pa.table({"x": pa.array(texts, pa.string())})
    assert digest(canonical(native)) == digest(canonical(text))
