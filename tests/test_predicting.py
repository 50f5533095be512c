"""Rows in, answers out: in order, to the bit, whatever the source, its length and how it is cut."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from packed import files_of, mixed, mixed_experiment, packed, written
from pyarrow import csv, parquet

from etude import model as models
from etude.errors import DataError, DriftError, ExperimentError
from etude.experiment import Data
from etude.prediction.predicting import Predicted, predict_stream, refuse_drift
from etude.prediction.writing import check_output, opened_output
from etude.reading import csv_strict, stream
from etude.store import Store
from tasks import tracking
from tasks.models import FoundModel
from tasks.predict import predict_rows, prediction_run


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> models.Model:
    folder = tmp_path_factory.mktemp("mixed")
    mixed(400).to_csv(folder / "mixed.csv", index=False)
    store = Store(folder / "store")
    files = files_of(packed(mixed_experiment(), store, folder), store)
    return models.load(written(files, folder / "model"))


def answered(model: models.Model, source: Path, output: Path, keys: tuple[str, ...] = ()) -> Predicted:
    with opened_output(str(output)) as writer:
        return predict_stream(
            model, stream.stream(Data(source=str(source), target="y"), Path()), writer, keys
        )


def test_a_file_gets_the_bits_that_its_rows_get_one_by_one(model: models.Model, tmp_path: Path) -> None:
    rows = mixed(300, seed=1)
    rows.to_csv(tmp_path / "new.csv", index=False)
    found = answered(model, tmp_path / "new.csv", tmp_path / "out.parquet")
    out = pd.read_parquet(tmp_path / "out.parquet")
    assert out.columns.tolist() == ["key", "prediction", "probability_high", "probability_low"]
    assert out["key"].tolist() == rows["key"].tolist()
    assert (found.rows, found.keys) == (300, ("key",))
    whole = model.predict(rows)
    assert (out["probability_high"] == whole["probability_high"]).all()
    alone = pd.concat([model.predict(rows.iloc[[i]]) for i in (0, 7, 299)])
    assert (alone["probability_high"] == whole["probability_high"].iloc[[0, 7, 299]]).all()


@pytest.mark.parametrize("block", [1 << 9, 1 << 12, 1 << 14])
def test_the_answers_do_not_depend_on_how_the_text_is_cut(
    model: models.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    rows = mixed(700, seed=2)
    rows.to_csv(tmp_path / "new.csv", index=False)
    answered(model, tmp_path / "new.csv", tmp_path / "whole.parquet")
    monkeypatch.setattr(csv_strict, "BLOCK_BYTES", block)
    pieces = list(stream.stream(Data(source=str(tmp_path / "new.csv"), target="y"), Path()))
    assert len(pieces) > 1
    answered(model, tmp_path / "new.csv", tmp_path / "cut.parquet")
    assert parquet.read_table(tmp_path / "cut.parquet").equals(parquet.read_table(tmp_path / "whole.parquet"))


def sources(rows: pd.DataFrame, folder: Path) -> Iterator[Path]:
    rows.to_csv(folder / "a.csv", index=False)
    yield folder / "a.csv"
    rows.to_csv(folder / "a.csv.gz", index=False, sep=";")
    yield folder / "a.csv.gz"
    rows.to_parquet(folder / "a.parquet", row_group_size=50)
    yield folder / "a.parquet"
    rows.to_feather(folder / "a.feather")
    yield folder / "a.feather"
    rows.to_json(folder / "a.jsonl", orient="records", lines=True)
    yield folder / "a.jsonl"
    (folder / "parts").mkdir()
    rows.iloc[:90].to_csv(folder / "parts" / "1.csv", index=False)
    rows.iloc[90:, ::-1].to_csv(folder / "parts" / "2.csv", index=False)
    yield folder / "parts"
    yield folder / "parts" / "*.csv"


def test_every_source_gives_the_same_answers(model: models.Model, tmp_path: Path) -> None:
    rows = mixed(130, seed=3)
    expected = model.predict(rows)
    for source in sources(rows, tmp_path):
        answered(model, source, tmp_path / "out.parquet")
        out = pd.read_parquet(tmp_path / "out.parquet")
        assert (out["probability_low"] == expected["probability_low"]).all(), source
        assert out["key"].tolist() == rows["key"].tolist(), source


@pytest.mark.parametrize(
    ("at", "line", "code"),
    [(250, "k,1", "E032"), (250, "a,b,c,d,e,f,g,h", "E028"), (300, "Total,9,,,,,,", "E027")],
)
def test_the_strict_readers_checks_hold_in_a_stream_and_nothing_is_left(
    model: models.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int, line: str, code: str
) -> None:
    lines = mixed(300, seed=4).drop(columns="y").assign(z=1.5).to_csv(index=False).splitlines()
    lines.insert(at + 1, line)
    (tmp_path / "new.csv").write_text("\n".join(lines) + "\n")
    monkeypatch.setattr(csv_strict, "BLOCK_BYTES", 4096)
    (tmp_path / "out.csv").write_text("as it was")
    with pytest.raises(DataError, match=f":{at + 2}") as caught:
        answered(model, tmp_path / "new.csv", tmp_path / "out.csv")
    assert caught.value.code == code
    assert (tmp_path / "out.csv").read_text() == "as it was"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new.csv", "out.csv"]


def test_no_text_of_the_output_is_a_formula_and_numbers_stay(model: models.Model, tmp_path: Path) -> None:
    rows = mixed(6, seed=5)
    keys = ["=1+1", "+49 170", "-5", "@SUM(A1)", "plain", "-2.5e3"]
    rows.assign(key=keys).rename(columns={"key": "-key"}).to_csv(tmp_path / "new.csv", index=False)
    answered(model, tmp_path / "new.csv", tmp_path / "out.csv", keys=("-key",))
    out = csv.read_csv(
        tmp_path / "out.csv", convert_options=csv.ConvertOptions(column_types={"'-key": pa.string()})
    )
    assert out.column(0).to_pylist() == ["'=1+1", "'+49 170", "-5", "'@SUM(A1)", "plain", "-2.5e3"]
    assert (out["probability_low"].to_numpy() == model.predict(rows)["probability_low"]).all()


def test_without_an_id_the_rows_are_numbered(model: models.Model, tmp_path: Path) -> None:
    mixed(5, seed=6).drop(columns="key").to_csv(tmp_path / "new.csv", index=False)
    assert answered(model, tmp_path / "new.csv", tmp_path / "out.csv").keys == ("row",)
    assert pd.read_csv(tmp_path / "out.csv")["row"].tolist() == [1, 2, 3, 4, 5]


def test_standard_output_gets_csv(
    model: models.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mixed(5, seed=6).to_csv(tmp_path / "new.csv", index=False)
    out = io.TextIOWrapper(io.BytesIO())
    monkeypatch.setattr("sys.stdout", out)
    with opened_output("-") as writer:
        predict_stream(
            model, stream.stream(Data(source=str(tmp_path / "new.csv"), target="y"), Path()), writer
        )
    assert out.buffer.getvalue().startswith(b'"key","prediction"')


def test_an_output_that_cannot_be_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("a\n1\n")
    (tmp_path / "link.csv").symlink_to(tmp_path / "new.csv")
    for output, said in [("out.xlsx", "must end in"), (str(tmp_path / "link.csv"), "over the input")]:
        with pytest.raises(ExperimentError, match=said) as caught:
            check_output(output, [tmp_path / "new.csv"])
        assert caught.value.code == "E122"


def test_rows_like_trains_have_not_drifted_and_others_are_named(model: models.Model, tmp_path: Path) -> None:
    for seed in range(10, 20):
        mixed(400, seed=seed).to_csv(tmp_path / "new.csv", index=False)
        assert not answered(model, tmp_path / "new.csv", tmp_path / "out.csv").drifted, seed
    other = mixed(400, seed=20)
    other["x"] += 1
    other["colour"] = other["colour"].replace({"red": "pink"})
    other.loc[:99, "member"] = None
    other.to_csv(tmp_path / "new.csv", index=False)
    found = answered(model, tmp_path / "new.csv", tmp_path / "out.csv")
    assert sorted(column.column for column in found.drifted) == ["colour", "member", "x"]
    told = {column.column: column for column in found.drift}
    assert "'pink'" in told["colour"].examples
    assert told["member"].missing == 0.25
    with pytest.raises(DriftError, match="3 of 6 columns have drifted") as caught:
        refuse_drift(found)
    assert caught.value.exit_code == 8


def test_the_profile_of_a_private_model_holds_no_value(tmp_path: Path) -> None:
    mixed(200).to_csv(tmp_path / "mixed.csv", index=False)
    store = Store(tmp_path / "store")
    packaged = packed(mixed_experiment(data={"private": True}), store, tmp_path)
    profile = files_of(packaged, store)["profile.json"].decode()
    assert "missing" in profile
    for name in ("x", "colour", "day", "member"):
        for value in mixed(200)[name].dropna().unique()[:20]:
            assert f'"{value}"' not in profile
    assert "knots" not in profile
    assert packaged.answers == {}


def test_a_table_without_rows_is_refused_as_a_source_and_answered_as_a_frame(
    model: models.Model, tmp_path: Path
) -> None:
    (tmp_path / "new.csv").write_text(",".join(mixed(1).columns) + "\n")
    with pytest.raises(DataError, match="E005"):
        answered(model, tmp_path / "new.csv", tmp_path / "out.csv")
    nothing = model.predict(mixed(1).iloc[:0])
    assert nothing.columns.tolist() == ["prediction", "probability_high", "probability_low"]
    assert len(nothing) == 0


def test_other_types_of_the_same_values_get_the_same_answers(model: models.Model) -> None:
    rows = mixed(200, seed=8)
    expected = model.predict(rows)["probability_high"].to_numpy()
    others = [
        rows.astype(str).replace("nan", ""),
        rows.astype({"count": float, "colour": "category", "member": "category"}),
        rows.assign(member=rows["member"] == "yes", day=pd.to_datetime(rows["day"])),
        rows.assign(
            x=rows["x"].astype(object).where(rows["x"].notna(), None), count=rows["count"].astype("Int64")
        ),
        rows[rows.columns[::-1]].assign(more="x"),
    ]
    for other in others:
        assert (model.predict(other)["probability_high"].to_numpy() == expected).all()
    with np.errstate(all="raise"):
        odd = rows.assign(x=np.inf, colour="never seen", day=None)
        assert model.predict(odd)["probability_high"].between(0, 1).all()


def test_missing_columns_are_named(model: models.Model) -> None:
    with pytest.raises(DataError, match=r"missing: 'x', 'day'.*did you mean 'X'\?") as caught:
        model.predict(mixed(3).drop(columns="day").rename(columns={"x": "X"}))
    assert caught.value.code == "E044"


def test_an_error_over_rows_of_a_private_model_keeps_the_value_to_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.setenv("ETUDE_HOME", str(tmp_path / ".etude"))
    mixed(200).to_csv(tmp_path / "mixed.csv", index=False)
    store = Store(tmp_path / ".etude" / "store")
    lines = mixed(20, seed=3).to_csv(index=False).splitlines()
    (tmp_path / "new.csv").write_text("\n".join([*lines[:9], 'x"' + lines[9], *lines[10:]]) + "\n")
    told = {}
    for private in (False, True):
        packaged = packed(mixed_experiment(data={"private": private}), store, tmp_path)
        found = FoundModel("model", packaged.files)
        with (
            pytest.raises(DataError) as caught,
            prediction_run(found, "new.csv", "out.csv") as run,
        ):
            predict_rows.fn(run, found, Data(source="new.csv", target="-"), "out.csv", (), False)
        told[private] = f"{caught.value} {tracking.tags_of(run.run_id)}"
    first = lines[9].partition(",")[0]
    assert first in told[False], "the error has something to keep back"
    assert first not in told[True]
