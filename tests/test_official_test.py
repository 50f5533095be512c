"""``data.test``: an official test table beside the source."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from etude import snapshot
from etude.errors import DataError, ExperimentError
from etude.experiment import Experiment, Split
from etude.experiment_file import load
from etude.label_spellings import variants
from etude.outcome import Outcome
from etude.splitting.official import deal_beside
from etude.splitting.parts import LEFT_OUT, Rows
from etude.steps.clean import Cleaned, clean
from etude.steps.collect import Collected, collect
from etude.steps.folds import fold_parts
from etude.steps.split import Parts, positions, split
from etude.store import Store

Steps = tuple[Outcome[Collected], Outcome[Cleaned], Outcome[Parts]]


@pytest.fixture
def files(flowers_file: Path) -> Path:
    """The flowers' first 90 rows as the source, the other 30 as the official test table."""
    folder = flowers_file.parent
    head, *rows = (folder / "flowers.csv").read_text().splitlines()
    write(folder / "flowers.csv", [head, *rows[:90]])
    write(folder / "exam.csv", [head, *rows[90:]])
    return flowers_file


def write(path: Path, lines: list[str]) -> None:
    path.write_text("\n".join(lines) + "\n")


def lines_of(path: Path) -> list[str]:
    return path.read_text().splitlines()


def steps(store: Store, file: Path, *overrides: str, **given: Any) -> Steps:
    e: Experiment = load(file, ["data.test=exam.csv", *overrides])
    if given.get("given_test") is not None:
        e = load(file, overrides)
    collected = collect(store, e.data, e.split, str(file.parent), **given)
    cleaned = clean(store, collected.outputs, e.data, e.clean)
    return collected, cleaned, split(store, cleaned.outputs, e.data, e.split, e.seed)


def refused(store: Store, file: Path, *overrides: str) -> str:
    with pytest.raises(DataError) as caught:
        steps(store, file, *overrides)
    return str(caught.value)


def test_the_official_rows_are_the_test_part_and_the_source_is_dealt_to_the_others(
    store: Store, files: Path
) -> None:
    collected, cleaned, parts = steps(store, files)
    assert collected.record.tags["test_snapshot.sha256"] != collected.record.tags["snapshot.sha256"]
    assert len(collected.record.tags["test_source.sha256"]) == 64
    assert (cleaned.outputs.rows, cleaned.outputs.official) == (120, 30)
    assert positions(store, parts.outputs)["test"].tolist() == list(range(90, 120))
    assert (parts.outputs.train, parts.outputs.validation) == (72, 18), (
        "split.validation is a share of the source"
    )
    certificate = json.loads(store.get(parts.record.files["split/certificate.json"]))
    assert certificate["rows"]["test"] == 30
    assert certificate["equal_rows_across_parts"] == certificate["rows_in_no_part"] == 0
    assert "official" in parts.record.summary


def test_the_digest_of_the_test_table_is_that_of_its_content(store: Store, files: Path) -> None:
    plain = steps(store, files)[0].record.tags["test_snapshot.sha256"]
    exam = files.with_name("exam.csv")
    files.with_name("exam.csv.gz").write_bytes(gzip.compress(exam.read_bytes()))
    assert steps(store, files, "data.test=exam.csv.gz")[0].record.tags["test_snapshot.sha256"] == plain
    exam.write_text(exam.read_text().replace("white", "green", 1))
    assert steps(store, files)[0].record.tags["test_snapshot.sha256"] != plain


def test_a_frame_is_given_as_test(store: Store, files: Path) -> None:
    from_file = steps(store, files)
    frames = {
        "given": pd.read_csv(files.with_name("flowers.csv")),
        "given_test": pd.read_csv(files.with_name("exam.csv")),
    }
    from_frames = steps(store, files, **frames)
    assert from_frames[2].digest == from_file[2].digest
    tag = "test_snapshot.sha256"
    assert from_frames[0].record.tags[tag] == from_file[0].record.tags[tag]


def test_columns_in_another_order_are_the_same_table(store: Store, files: Path) -> None:
    before = steps(store, files)[0].record.tags["test_snapshot.sha256"]
    exam = files.with_name("exam.csv")
    frame = pd.read_csv(exam, dtype=str, keep_default_na=False)
    frame[frame.columns[::-1]].to_csv(exam, index=False)
    assert steps(store, files)[0].record.tags["test_snapshot.sha256"] == before


def test_missing_and_renamed_columns_are_refused_with_their_names(store: Store, files: Path) -> None:
    exam = files.with_name("exam.csv")
    text = exam.read_text()
    exam.write_text(text.replace("colour", "color", 1))
    line = refused(store, files)
    assert line.startswith("E044 data.test must have the columns of data.source, ")
    assert "missing: 'colour'; not in the source: 'color'" in line
    assert "did you mean 'color'?" in line
    write(exam, [row.rsplit(",", 1)[0] for row in text.splitlines()])
    assert "missing: 'species'" in refused(store, files)
    write(exam, [f"{row},{i}" for i, row in enumerate(text.splitlines())])
    assert "not in the source: '0'" in refused(store, files)


def test_a_dropped_column_may_be_absent(store: Store, files: Path) -> None:
    exam = files.with_name("exam.csv")
    frame = pd.read_csv(exam, dtype=str, keep_default_na=False).drop(columns="colour")
    frame.to_csv(exam, index=False)
    assert steps(store, files, "data.drop=[colour]")[2].outputs.test == 30


def test_a_value_that_does_not_fit_the_kind_of_the_source_is_refused(store: Store, files: Path) -> None:
    exam = files.with_name("exam.csv")
    head, first, *rows = lines_of(exam)
    write(exam, [head, "long" + first[first.index(",") :], *rows])
    line = refused(store, files)
    assert line.startswith("E054 ")
    assert "data.test " in line
    assert "'length'" in line


def test_another_spelling_of_a_label_is_said_with_the_line_to_add(store: Store, files: Path) -> None:
    exam = files.with_name("exam.csv")
    exam.write_text(exam.read_text().replace("iris", " Iris.").replace("rose", "rose."))
    line = refused(store, files)
    assert line == (
        "E086 the labels of data.test must be spelled as those of data.source, column 'species', "
        """found 'Iris. beside iris'; write data.labels: {"Iris.": "iris", "rose.": "rose"}"""
    )
    declared = line.partition("data.labels: ")[2]
    _, cleaned, parts = steps(store, files, f"data.labels={declared}")
    table = snapshot.from_bytes(store.get(cleaned.outputs.table))
    assert set(table.column("species").to_pylist()) == {"iris", "lily", "rose"}
    assert "20 rows label spellings (mapped)" in cleaned.record.summary
    assert parts.record.warnings == ()


def test_spellings_are_padding_case_width_and_trailing_punctuation() -> None:
    assert variants([">50K", "<=50K"], [">50K.", "<=50K", "> 50K"]) == {">50K.": ">50K"}
    assert variants(["yes", "no"], ["YES", "no ", "ｎｏ", "maybe", "n.o"]) == {
        "YES": "yes",
        "no ": "no",
        "ｎｏ": "no",
    }
    assert variants(["A", "a"], ["a."]) == {}, "which of the two it is cannot be known"
    assert variants(["?"], ["."]) == {}


def test_declared_spellings_that_stand_nowhere_are_said(store: Store, files: Path) -> None:
    cleaned = steps(store, files, "data.labels={Iris: iris}")[1]
    assert cleaned.record.warnings == ("no spelling of data.labels stands in the target (E086)",)


def test_the_training_table_again_is_refused(store: Store, files: Path) -> None:
    line = refused(store, files, "data.test=flowers.csv")
    assert line.startswith("E099 data.test must hold other rows than data.source, found 'all 90 rows")
    source = files.with_name("flowers.csv")
    head, *rows = lines_of(source)
    write(files.with_name("exam.csv"), [head, *rows[::-1], rows[0]])
    assert refused(store, files).startswith("E099 "), "in another order, and one row twice"


def test_rows_that_the_test_has_too_leave_train_and_validation(store: Store, files: Path) -> None:
    _, *rows = lines_of(files.with_name("flowers.csv"))
    exam = files.with_name("exam.csv")
    write(exam, [*lines_of(exam), *rows[:12], rows[0]])
    _, _, parts = steps(store, files)
    assert parts.record.metrics["split/left_out_rows"] == 12
    assert parts.record.warnings == (
        "12 of 90 source rows are also in data.test and leave train and validation (E099)",
    )
    placed = positions(store, parts.outputs)
    assert not set(range(12)) & {*placed["train"].tolist(), *placed["validation"].tolist()}
    assert len(placed["test"]) == 43
    certificate = json.loads(store.get(parts.record.files["split/certificate.json"]))
    assert (certificate["rows_in_no_part"], certificate["equal_rows_across_parts"]) == (12, 0)


def test_groups_that_the_test_has_too_leave_train(store: Store, files: Path) -> None:
    for name, first in (("flowers.csv", 0), ("exam.csv", 25)):
        path = files.with_name(name)
        head, *rows = lines_of(path)
        write(path, [f"{head},bed", *(f"{row},bed {first + i // 3}" for i, row in enumerate(rows))])
    _, _, parts = steps(store, files, "split.by=group", "split.column=bed")
    assert "15 source rows are of groups that data.test has" in parts.record.warnings[0]
    certificate = json.loads(store.get(parts.record.files["split/certificate.json"]))
    assert (certificate["groups_across_parts"], certificate["rows_in_no_part"]) == (0, 15)


def test_with_a_split_by_time_the_test_is_the_future(store: Store, files: Path) -> None:
    for name, year in (("flowers.csv", "2024"), ("exam.csv", "2025")):
        path = files.with_name(name)
        path.write_text(path.read_text().replace("2024-", f"{year}-"))
    by_time = ("split.by=time", "split.column=picked")
    _, _, parts = steps(store, files, *by_time, "split.gap=5d")
    certificate = json.loads(store.get(parts.record.files["split/certificate.json"]))
    assert certificate["train_after_test"] == certificate["train_after_validation"] == 0
    assert certificate["train_to_validation"] >= 5 * 86_400
    assert certificate["validation_to_test"] >= 5 * 86_400
    path.write_text(path.read_text().replace("2025-", "2023-"))
    assert refused(store, files, *by_time).startswith("E096 with split.by: time every row of data.source")


def test_a_part_column_says_train_and_validation_alone(store: Store, files: Path) -> None:
    for name in ("flowers.csv", "exam.csv"):
        path = files.with_name(name)
        head, *rows = lines_of(path)
        words = ("train", "train", "validation") if name == "flowers.csv" else ("test",)
        write(path, [f"{head},part", *(f"{row},{words[i % len(words)]}" for i, row in enumerate(rows))])
    by_column = ("split.by=column", "split.column=part")
    parts = steps(store, files, *by_column)[2].outputs
    assert (parts.train, parts.validation, parts.test) == (60, 30, 30)
    path = files.with_name("flowers.csv")
    path.write_text(path.read_text().replace(",validation", ",test"))
    assert refused(store, files, *by_column).startswith("E092 the part column must say train or validation")


def test_a_test_table_decides_neither_kinds_nor_the_task(store: Store, files: Path) -> None:
    """A colour of numbers and a third of the labels in the test table: the source's kinds stay."""
    exam = files.with_name("exam.csv")
    before = steps(store, files)[0].outputs.schema
    exam.write_text(exam.read_text().replace("red", "1").replace("blue", "2").replace("white", "3"))
    assert steps(store, files)[0].outputs.schema == before


def test_a_test_file_that_is_not_there_leaves_no_run(files: Path) -> None:
    from flows.commands import check_source

    with pytest.raises(ExperimentError, match=r"E001 data.test must exist .*did you mean 'exam.csv'"):
        check_source(load(files, ["data.test=exams.csv"]), files)


def test_official_rows_need_their_target(store: Store, files: Path) -> None:
    exam = files.with_name("exam.csv")
    head, first, *rows = lines_of(exam)
    write(exam, [head, first.rsplit(",", 1)[0] + ",", *rows])
    assert refused(store, files).startswith("E078 every row needs a target, data.test, column 'species'")
    assert steps(store, files, "clean.missing_target=drop")[2].outputs.test == 29


def test_integer_targets_name_their_metrics_as_the_labels(store: Store, tmp_path: Path) -> None:
    draw = np.random.Generator(np.random.PCG64(0))
    frame = pd.DataFrame({"x": draw.normal(size=60), "y": np.arange(60) % 2})
    e = Experiment(name="n", data={"source": "frame", "target": "y"})  # type: ignore[arg-type]
    collected = collect(store, e.data, e.split, str(tmp_path), frame).outputs
    cleaned = clean(store, collected, e.data, e.clean).outputs
    metrics = split(store, cleaned, e.data, e.split, e.seed).record.metrics
    assert {name for name in metrics if name.startswith("split/test_share_")} == {
        "split/test_share_0",
        "split/test_share_1",
    }


def test_labels_of_which_the_source_has_none_are_refused_before_training(store: Store, files: Path) -> None:
    exam = files.with_name("exam.csv")
    text = exam.read_text()
    for label, other in (("iris", "1"), ("lily", "2"), ("rose", "3")):
        text = text.replace(label, other)
    exam.write_text(text)
    line = refused(store, files)
    assert line.startswith("E086 data.test must have a label that data.source has, column 'species', found '")
    declared = "data.labels={'1': iris, '2': lily, '3': rose}"
    assert steps(store, files, declared)[2].outputs.test == 30


def moments(start: int, rows: int, content: int = 77) -> Rows:
    numbers = np.arange(start, start + rows, dtype=np.uint64)
    return Rows(
        numbers * np.uint64(content),
        np.arange(rows) % 2,
        True,
        pa.chunked_array([pa.array(numbers.astype(float))]),
    )


def test_the_gap_before_an_official_test_in_time_is_left_out() -> None:
    by_time = Split(by="time", column="hour", gap="5")
    dealt = deal_beside(by_time, 0, moments(0, 100), moments(101, 20))
    assert set(np.flatnonzero(dealt.part == LEFT_OUT).tolist()) >= {97, 98, 99}
    assert dealt.part[96] != LEFT_OUT
    assert "3 rows lie in the gap of 5 before data.test" in str(dealt.warnings)


def test_a_source_row_at_the_first_official_moment_is_refused() -> None:
    by_time = Split(by="time", column="hour")
    assert deal_beside(by_time, 0, moments(0, 100), moments(100, 20))
    with pytest.raises(DataError, match=r"E096 .*found '1 rows at or after it'"):
        deal_beside(by_time, 0, moments(0, 101), moments(100, 20, content=79))


def test_the_digest_that_is_asked_for_is_the_sources_alone(store: Store, files: Path) -> None:
    digest = hashlib.sha256((files.parent / "flowers.csv").read_bytes()).hexdigest()
    _, cleaned, _ = steps(store, files, f"data.sha256={digest}")
    assert cleaned.outputs.official == 30
    with pytest.raises(DataError, match="E018"):
        steps(store, files, f"data.sha256={'0' * 64}")


def test_a_fold_beside_an_official_test_stops_by_validations_share_of_the_source(
    store: Store, files: Path
) -> None:
    e = load(files, ["data.test=exam.csv", "split.folds=3"])
    _, cleaned, parts = steps(store, files, "split.folds=3")
    dealt = fold_parts(store, cleaned.outputs, parts.outputs, e.data, e.split, e.seed)
    assert [(fold.train, fold.validation, fold.test) for fold in dealt] == [(48, 12, 30)] * 3
