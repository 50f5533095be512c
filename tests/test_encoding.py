"""The encoder: learned from train rows alone, the same bits for a row wherever it stands."""

import hashlib
import subprocess
import sys
from datetime import datetime, timedelta
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from etude import encoding
from etude.encoding import Encoder
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


def test_the_encoder_is_read_in_a_fresh_process_to_the_same_output(tmp_path):
    table = clean_table()
    encoder = fitted(table)
    (tmp_path / "encoder").write_bytes(encoder.to_bytes())
    with pa.OSFile(str(tmp_path / "table"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    script = """
import hashlib, sys
from pathlib import Path
import pyarrow as pa
from etude.encoding import Encoder
encoder = Encoder.from_bytes(Path("encoder").read_bytes())
encoded = encoder.transform(pa.ipc.open_file("table").read_all())
assert not {"sklearn", "torch"} & set(sys.modules)
print(hashlib.sha256(encoded.numbers.tobytes() + encoded.categories.tobytes()).hexdigest(), encoder.digest())
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    encoded = encoder.transform(table)
    content = hashlib.sha256(encoded.numbers.tobytes() + encoded.categories.tobytes()).hexdigest()
    assert done.stdout.split() == [content, encoder.digest()]


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


def test_damaged_bytes_are_refused():
    content = fitted(clean_table()).to_bytes()
    for damaged in (b"", content[:100], content[:-1]):
        with pytest.raises(DataError, match="E130"):
            Encoder.from_bytes(damaged)
