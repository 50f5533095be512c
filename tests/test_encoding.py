"""The encoder: learned from train rows alone, the same bits for a row wherever it stands."""

import hashlib
import os
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from etude.encoding import encoder as encoding
from etude.encoding import encoder_file
from etude.encoding.encoder import Encoder
from etude.errors import DataError
from etude.experiment import Data

KINDS = {
    "age": "number",
    "income": "number",
    "city": "category",
    "member": "boolean",
    "since": "datetime",
    "note": "text",
    "species": "category",
}
FEATURES = [name for name in KINDS if name != "species"]
WORDS = ["late", "early", "broken", "fine", "urgent", "lost", "nest", "egg", "adult", "ring"]


def clean_table(rows=240, seed=0):
    """A clean table of every kind, with missing values in each feature."""
    draw = np.random.default_rng(seed)

    def holes(values):
        return [None if gap else value for value, gap in zip(values, draw.random(rows) < 0.1, strict=True)]

    species = draw.choice(["Adelie", "Gentoo", "None"], rows)
    start = datetime(2007, 11, 11, 7)
    columns = {
        "age": pa.array(holes(draw.integers(1, 90, rows).astype(float)), pa.float64()),
        "income": pa.array(holes(draw.lognormal(10, 1, rows)), pa.float64()),
        "city": pa.array(holes(draw.choice(["Oslo", "Bergen", "NA", "Åre"], rows)), pa.string()),
        "member": pa.array(holes(draw.random(rows) < 0.5), pa.bool_()),
        "since": pa.array(
            holes([start + timedelta(hours=int(h)) for h in draw.integers(0, 20_000, rows)]),
            pa.timestamp("us"),
        ),
        "note": pa.array(holes([" ".join(draw.choice(WORDS, 6)) for _ in range(rows)]), pa.string()),
        "species": pa.array(species.tolist(), pa.string()),
    }
    return pa.table(columns)


def schema_of(kinds):
    return SimpleNamespace(columns=[SimpleNamespace(name=name, kind=kind) for name, kind in kinds.items()])


def fitted(table, kinds=KINDS, target="species", task="classification", seed=0, **data):
    features = [name for name in kinds if name != target]
    return encoding.fit(
        table, schema_of(kinds), Data(source="t.csv", target=target, **data), task, seed, features
    )


def same(left, right):
    return (
        left.numbers.tobytes() == right.numbers.tobytes()
        and left.categories.tobytes() == right.categories.tobytes()
    )


def test_every_kind_becomes_finite_numbers_and_codes():
    table = clean_table()
    encoder = fitted(table)
    encoded = encoder.transform(table)
    assert encoded.numbers.shape == (240, len(encoder.number_names))
    assert encoded.numbers.dtype == np.float32
    assert encoded.numbers.flags.c_contiguous
    assert np.isfinite(encoded.numbers).all()
    assert encoded.categories.dtype == np.int64
    assert encoder.category_names == ("city", "member")
    assert encoder.cardinalities == (6, 4)
    assert (encoded.categories < np.array(encoder.cardinalities)).all()
    assert {"age", "age is missing", "since[sin hour]", "note[svd 1]", "note is missing"} <= set(
        encoder.number_names
    )


def test_a_row_has_the_same_bits_alone_and_in_the_table():
    table = clean_table()
    encoder = fitted(table)
    whole = encoder.transform(table)
    alone = [encoder.transform(table.slice(row, 1)) for row in range(60)]
    assert np.concatenate([one.numbers for one in alone]).tobytes() == whole.numbers[:60].tobytes()
    assert np.concatenate([one.categories for one in alone]).tobytes() == whole.categories[:60].tobytes()


def test_columns_may_come_in_any_order_and_beside_others():
    table = clean_table()
    encoder = fitted(table)
    shuffled = table.select(list(reversed(table.column_names))).append_column("new", table["age"])
    assert same(encoder.transform(table), encoder.transform(shuffled))


def test_every_missing_column_is_named():
    encoder = fitted(clean_table())
    with pytest.raises(DataError, match=r"E044 .* missing: 'city', 'note'"):
        encoder.transform(clean_table().drop_columns(["city", "note"]))


def test_the_encoder_is_read_and_learned_again_in_a_fresh_process_to_the_same_bits(tmp_path):
    encoder = fitted(clean_table())
    (tmp_path / "encoder").write_bytes(encoder.to_bytes())
    script = """
import hashlib, sys
from pathlib import Path
from test_encoding import Encoder, clean_table, fitted
encoder = Encoder.from_bytes(Path("encoder").read_bytes())
encoded = encoder.transform(clean_table())
assert not {"sklearn", "torch"} & set(sys.modules)
content = encoded.numbers.tobytes() + encoded.categories.tobytes()
print(hashlib.sha256(content).hexdigest(), encoder.digest(), fitted(clean_table()).digest())
"""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent), "PYTHONHASHSEED": "7"}
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    encoded = encoder.transform(clean_table())
    content = hashlib.sha256(encoded.numbers.tobytes() + encoded.categories.tobytes()).hexdigest()
    assert done.stdout.split() == [content, encoder.digest(), encoder.digest()]


def test_a_table_without_text_is_encoded_without_scikit_learn():
    script = """
import sys
from test_encoding import KINDS, clean_table, fitted
kinds = {name: kind for name, kind in KINDS.items() if kind != "text"}
fitted(clean_table(), kinds).transform(clean_table())
assert not {"sklearn", "scipy", "torch"} & set(sys.modules), "heavy"
"""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    subprocess.run([sys.executable, "-c", script], env=environment, check=True)


def test_test_rows_of_noise_change_no_byte_of_the_encoder():
    table, noise = clean_table(), clean_table(seed=9)
    train_rows = np.arange(0, 240, 2)
    mixed = [table.slice(row, 1) if row % 2 == 0 else noise.slice(row, 1) for row in range(240)]
    before, after = (fitted(whole.take(train_rows)) for whole in (table, pa.concat_tables(mixed)))
    assert before.to_bytes() == after.to_bytes()
    assert before.digest() == after.digest()


def test_another_seed_or_row_gives_another_digest():
    table = clean_table()
    assert fitted(table).digest() != fitted(table.slice(1)).digest()


def test_a_copy_of_the_target_is_refused_unless_allowed():
    table = clean_table()
    codes = pa.array([{"Adelie": 3.0, "Gentoo": 1.0, "None": 2.0}[v] for v in table["species"].to_pylist()])
    table = table.append_column("code", codes)
    kinds = {**KINDS, "code": "number"}
    with pytest.raises(
        DataError, match=r"E097 .* column 'code'.*data\.drop: \[code\].*data\.allow: \[code\]"
    ):
        fitted(table, kinds)
    assert "code" in fitted(table, kinds, allow=["code"]).number_names


def test_row_numbers_that_follow_the_target_are_left_out_rather_than_refused():
    table = clean_table().append_column("time", pa.array(np.arange(240) / 12 + 1949))
    table = table.append_column("Unnamed: 0", pa.array(np.arange(1, 241)))
    kinds = {"age": "number", "Unnamed: 0": "number", "time": "number"}
    encoder = fitted(table, kinds, target="time", task="regression")
    assert [column.name for column in encoder.left_out] == ["Unnamed: 0"]
    with pytest.raises(DataError, match=r"E097 .*column 'index of time'"):
        fitted(
            table.rename_columns([*table.column_names[:-1], "index of time"]),
            {"age": "number", "index of time": "number", "time": "number"},
            target="time",
            task="regression",
            columns={"index of time": "number"},
        )


def test_a_column_that_looks_like_row_numbers_stays_when_it_is_declared_or_allowed():
    table = clean_table().append_column("No", pa.array(np.arange(240.0)))
    kinds = {**KINDS, "No": "number"}
    encoder = fitted(table, kinds)
    assert [column.name for column in encoder.left_out] == ["No"]
    assert "No" in fitted(table, kinds, columns={"No": "number"}).number_names
    assert "No" in fitted(table, kinds, allow=["No"]).number_names


def test_damaged_bytes_are_refused():
    content = fitted(clean_table()).to_bytes()
    flips = np.random.default_rng(0).integers(0, len(content), 60).tolist()
    flipped = [content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :] for at in [*range(12), *flips]]
    for damaged in (b"", b"{}", content[:100], content[:-1], *flipped):
        with pytest.raises(DataError, match="E130"):
            Encoder.from_bytes(damaged)


def test_bytes_of_another_format_are_refused(monkeypatch):
    monkeypatch.setattr(encoder_file, "FORMAT_VERSION", 2)
    content = fitted(clean_table()).to_bytes()
    monkeypatch.undo()
    with pytest.raises(DataError, match=r"E130 an encoder must have format 1, found '2'"):
        Encoder.from_bytes(content)


def test_a_table_of_which_nothing_is_left_is_refused_with_every_reason():
    table = pa.table({"a": ["x"] * 6, "b": [1.0] * 6, "y": ["u", "v"] * 3})
    with pytest.raises(DataError, match=r"E060 .*'a': constant in train; 'b': constant in train"):
        fitted(table, {"a": "category", "b": "number", "y": "category"}, target="y")


def test_a_long_table_is_encoded_in_blocks_to_the_same_bits():
    table = clean_table()
    encoder = fitted(table, {name: kind for name, kind in KINDS.items() if kind != "text"})
    long = pa.concat_tables([table] * 600)
    assert long.num_rows > 2 * encoding.BLOCK_ROWS
    once, often = encoder.transform(table), encoder.transform(long)
    assert np.tile(once.numbers, (600, 1)).tobytes() == often.numbers.tobytes()
    assert np.tile(once.categories, (600, 1)).tobytes() == often.categories.tobytes()


def test_no_rows_are_encoded_to_no_rows():
    encoder = fitted(clean_table())
    assert encoder.transform(clean_table().slice(0, 0)).numbers.shape == (0, len(encoder.number_names))


def test_what_is_new_in_a_table_is_counted_by_column():
    encoder = fitted(clean_table())
    table = pa.table(
        {
            "age": [1e9, None],
            "income": [20_000.0, 20_000.0],
            "city": ["Rome", "Oslo"],
            "member": [True, None],
            "since": pa.array([datetime(2008, 1, 1), datetime(2050, 1, 1)], pa.timestamp("us")),
            "note": ["late", None],
        }
    )
    assert encoder.counts(table) == {
        "age": {"missing": 1, "outside": 1},
        "city": {"unknown": 1},
        "member": {"missing": 1},
        "since": {"outside": 1},
        "note": {"missing": 1},
    }
