"""``data.private: true``: a table of canaries goes through the real flow, and none is found afterwards."""

from __future__ import annotations

import html
import json
import sqlite3
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from etude.errors import DataError, EtudeError, InputError
from etude.outcome import Record
from etude.private import blanked, guarded, of_counts, of_record, without_value
from etude.store import Ref
from tasks.mlflow_names import safe_name
from tasks.past import find_run

ROWS = 90
LABELS = ('Löwe/"Nord" 7qx', "Zebra & Süd 8kz", "Ibis <West> 9wv")
LEVELS = ("Kolibri|rot", "Pirol-blau", "Uhu's grün")
SCRIPT = """
import sys
import pandas as pd
from flows.cli import _guarded, etude
from flows.train import train
from etude.experiment_file import load
from etude.home import home
from tasks.prefect_api import prefect_api
from pathlib import Path

def command(*arguments):
    print("exit", _guarded(lambda: etude(list(arguments), standalone_mode=False), False), flush=True)

with prefect_api(home() / "prefect"):
    command("check", "good.yaml")
    command("run", "good.yaml", "--json")
    for name in ("fault", "short"):
        command("run", f"{name}.yaml")
    for name in ("dates", "label"):
        command("check", f"{name}.yaml")
    train(load(Path("good.yaml")), data=pd.read_csv("good.csv"), fresh=True)
"""


def cells(row: int) -> list[str]:
    """A number, a whole number, a code, a date, a sentence, a level, a number or a word, and the label."""
    word = "".join(chr(97 + (row * 7 + i * 11) % 26) for i in range(9))
    mixed = f"wort{word}" if row % 30 == 7 else f"{61_400 + row}.4375"
    label = row % 3
    return [
        f"{0.317 + label}{row:02d}91" if row % 11 else "",
        str(418_650_000 + row * 13),
        f"ZX{row:03d}-{word[:4]}",
        f"18{71 + row % 20}-0{1 + row % 9}-{10 + row % 18}",
        f"{word}ität sah {row}mal die {word[::-1]}",
        LEVELS[row % 7 % 3],
        mixed,
        LABELS[label],
    ]


def csv_line(row: list[str]) -> str:
    return ",".join('"' + cell.replace('"', '""') + '"' for cell in row)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder after a check, a good run, two that fail on their data, two failing checks and a run on a DataFrame.

    ``told.txt`` is what stood on the terminal.
    """
    folder = tmp_path_factory.mktemp("private")
    header = csv_line(["size", "count", "code", "day", "note", "bird", "mixed", "class"])
    rows = [cells(row) for row in range(ROWS)]
    faults = {
        "good": rows,
        "fault": [*rows[:50], [*rows[50][:7], ""], *rows[51:]],  # a row without a label
        "short": [*rows[:60], rows[60][:5], *rows[61:]],  # a row that is too short
        "dates": [*rows[:40], [*rows[40][:3], "1872-02-31", *rows[40][4:]], *rows[41:]],
        "label": [[*row[:7], row[7] if row[7] == LABELS[0] else LABELS[0]] for row in rows],  # a single class
    }
    for name, table in faults.items():
        (folder / f"{name}.csv").write_text("\n".join([header, *map(csv_line, table)]) + "\n")
        (folder / f"{name}.yaml").write_text(
            f"name: canaries\ndata: {{source: {name}.csv, target: class, private: true}}\n"
            "network: {hidden: [8]}\ntrain: {epochs: 2}\n"
        )
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=folder, capture_output=True, text=True, timeout=240, check=False
    )
    (folder / "told.txt").write_text(done.stdout + done.stderr)
    assert done.returncode == 0, done.stderr
    return folder


def spellings(cell: str) -> set[bytes]:
    """The cell as it may stand in a file: plain, in JSON (also twice), in a URL, in HTML, in a name for MLflow."""
    ascii_json, json_text = json.dumps(cell)[1:-1], json.dumps(cell, ensure_ascii=False)[1:-1]
    written = {
        cell,
        ascii_json,
        json_text,
        json.dumps(ascii_json)[1:-1],
        json.dumps(json_text, ensure_ascii=False)[1:-1],
        quote(cell),
        quote(cell, safe=""),
        quote_plus(cell),
        html.escape(cell),
        safe_name(cell),
        cell.encode("unicode_escape").decode(),
    }
    return {text.encode() for text in written}


def canaries() -> dict[str, set[bytes]]:
    """Every cell of the table that no chance would write."""
    every = {cell for row in range(ROWS) for cell in cells(row) if cell}
    return {cell: spellings(cell) for cell in every}


def contents(folder: Path) -> dict[str, bytes]:
    """Everything that the runs left behind but for the tables themselves and the store's own objects."""
    found = {}
    for path in folder.rglob("*"):
        name = str(path.relative_to(folder))
        if not path.is_file() or name.startswith(".etude/store/objects") or path.suffix == ".csv":
            continue
        found[name] = path.read_bytes()
        if found[name].startswith(b"SQLite format 3"):
            with sqlite3.connect(path) as database:
                database.text_factory = lambda raw: raw.decode(errors="replace")
                found[f"{name} as SQL"] = "\n".join(database.iterdump()).encode()
    return found


def test_no_cell_is_found_anywhere_but_in_what_the_model_learned(place: Path) -> None:
    left = contents(place)
    names = " ".join(left)
    assert {"mlflow.db as SQL", ".etude/prefect/prefect.db as SQL", "told.txt"} <= set(left)
    assert "data_report.html" in names
    assert ".etude/store/steps" in names
    leaks = {
        (cell, name)
        for cell, written in canaries().items()
        for name, content in left.items()
        if any(spelling in content for spelling in written) or cell in name
    }
    in_model = {(cell, name) for cell, name in leaks if name.endswith("encoder.safetensors")}
    assert leaks == in_model, "a value of the table left it"
    learned = {cells(row)[column] for row in range(ROWS) for column in (0, 1, 5, 7)}
    assert {cell for cell, _ in in_model} <= learned, (
        "codes, dates, texts and rare words are not in the model either"
    )
    assert {cell for cell, _ in in_model} >= set(LABELS), "the model cannot answer without its labels"


def test_the_runs_did_what_they_were_made_for(place: Path) -> None:
    told = (place / "told.txt").read_text()
    assert [line for line in told.splitlines() if line.startswith("exit")] == ["exit 0"] * 2 + ["exit 2"] * 4
    for line in (
        "E078 every row needs a target, column 'class', first in data row 51; write clean: {missing_target: drop}",
        "E032 every row must have as many fields as the header, short.csv:62; ",
        "E074 dates must be real and from 1000 to 2261, column 'day', data row 41; ",
        "E080 the target must have at least two values, column 'class'; ",
    ):
        assert told.count(line) == 1, line
    with sqlite3.connect(place / "mlflow.db") as database:
        statuses = [status for (status,) in database.execute("select status from runs order by start_time")]
        codes = {v for (v,) in database.execute("select value from tags where key = 'error_code'")}
        metrics = {name for (name,) in database.execute("select distinct key from metrics")}
    assert statuses == ["FINISHED", *["FAILED"] * 2, "FINISHED"]
    assert codes == {"E078", "E032"}
    assert {f"split/train_share_class {i}" for i in (1, 2, 3)} <= metrics


def test_a_private_model_answers_and_brings_no_example(place: Path) -> None:
    import mlflow.pyfunc
    import pandas as pd

    (path, *_) = (path.parent for path in place.rglob("MLmodel"))
    example = json.loads((path / "input_example.json").read_text())
    assert example["data"] == [[None] * 5], "five columns without a value"
    answers = mlflow.pyfunc.load_model(str(path)).predict(pd.read_csv(place / "good.csv").head(9))
    assert set(answers["prediction"]) <= set(LABELS)


def test_a_rerun_of_a_private_run_reads_the_source_again(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{place / 'mlflow.db'}")
    with sqlite3.connect(place / "mlflow.db") as database:
        runs = "select run_uuid from runs where status = 'FINISHED' order by start_time"
        from_file, from_frame = [run for (run,) in database.execute(runs)]
    past = find_run.fn(from_file)
    assert (past.snapshot, Path(past.folder)) == (None, place)
    with pytest.raises(InputError, match="E133 a rerun needs the table, which MLflow does not hold"):
        find_run.fn(from_frame)


def test_an_error_of_a_private_table_keeps_all_but_the_value() -> None:
    def fails() -> None:
        try:
            raise ValueError("canary 1")
        except ValueError as error:
            raise DataError("E054", "what", where="column 'x'", value="canary 2", mend="mend") from error

    with pytest.raises(DataError) as caught:
        guarded(fails, private=True)
    assert str(caught.value) == "E054 what, column 'x'; mend"
    assert (caught.value.value, caught.value.__cause__, caught.value.__context__) == (None, None, None)
    with pytest.raises(DataError, match="canary 2"):
        guarded(fails, private=False)


def test_of_an_error_that_is_not_ours_only_its_type_is_told() -> None:
    told = without_value(KeyError("canary"))
    assert isinstance(told, EtudeError)
    assert "KeyError" in str(told)
    assert "canary" not in str(told)


def test_a_file_that_nobody_has_read_for_values_is_withheld_and_said() -> None:
    record = Record(
        files={"train/history.json": Ref("a", 1), "new/findings.json": Ref("b", 1)},
        warnings=("column 'age' holds 'canary'",),
        tags={"x": "'canary'"},
        summary="'canary' in 'age'",
    )
    told = of_record(record, {"age"})
    assert set(told.files) == {"train/history.json"}
    assert told.warnings == (
        "column 'age' holds '(private)'",
        "withheld, since data.private is true: new/findings.json",
    )
    assert (told.summary, told.tags) == ("'(private)' in 'age'", {"x": "'(private)'"})


def test_quotes_are_blanked_unless_they_are_names() -> None:
    assert blanked("'a' and 'b', 'Uhu's nest'", {"a"}) == "'a' and '(private)', '(private)'"


def test_counts_of_tokens_keep_their_sum_and_lose_the_tokens() -> None:
    counts = {
        "x": {"missing": {"": 2, "k.A.": 3, "-": 1}, "trimmed": 4, "trimmed_example": [" a", "a"]},
        "y": {},
    }
    assert of_counts(counts) == {"x": {"missing": {"": 2, "a token": 4}, "trimmed": 4}, "y": {}}
