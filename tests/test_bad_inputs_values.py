"""Bad inputs 45-75: what stands in the cells, through the command."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest
from bad_inputs import ROWS, Told, check, etude, experiment, refused, table

from etude.experiment import Data, Split
from etude.steps.collect import collect
from etude.store import Store


def q(text: str) -> str:
    return f'"{text}"'


def cells(folder: Path, values: list[str], **keys: object) -> list[object]:
    """The column ``v`` of the snapshot: the first cells, as many as there are values."""
    from etude import snapshot

    (folder / "table.csv").write_text(table(v=values))
    store = Store(folder / "store")
    collected = collect(store, Data(source="table.csv", target="y", **keys), Split(), str(folder))
    return snapshot.from_bytes(store.get(collected.outputs.table))["v"].to_pylist()[: len(values)]


# case: values, keys of data, the kind, the cells as the snapshot has them
HANDLED: dict[str, tuple[list[str], dict[str, object], str, list[object]]] = {
    "45 words among numbers": (
        ["1", "NA", "2.5", "?", "", "-"],
        {},
        "number",
        [1, None, 2.5, None, None, None],
    ),
    "45 words among dates": (["NA", "2020-01-15"], {}, "datetime", [None, "2020-01-15 00:00:00"]),
    "45 a country": (["NA", "DE", "FR"], {}, "category", ["NA", "DE", "FR"]),
    "45 a marital status": (["None", "Single", "null"], {}, "category", ["None", "Single", "null"]),
    "45 a level that is declared missing": (["NA", "DE"], {"missing": ["NA"]}, "category", [None, "DE"]),
    "47 leading zeros": (["00123", "00456", "12"], {}, "category", ["00123", "00456", "12"]),
    "48 codes with an E": (["1E5", "2E5", "12"], {}, "category", ["1E5", "2E5", "12"]),
    "48 declared numbers": (["1E5", "12"], {"columns": {"v": "number"}}, "number", [100_000, 12]),
    "49 thousands declared": ([q("1,234"), "5"], {"thousands": ","}, "number", [1234, 5]),
    "50 a decimal comma declared": ([q("1,5"), "2"], {"decimal": ","}, "number", [1.5, 2]),
    "51 units declared numbers": (["3 kg", "4.5 kg"], {"columns": {"v": "number"}}, "number", [3, 4.5]),
    "52 look-alikes": (["\u22121", "\uff11\uff12", "\u00a03", "4\u200b"], {}, "number", [-1, 12, 3, 4]),
    "53 one pair": (["TRUE", "false", "True"], {}, "boolean", [True, False, True]),
    "53 declared": (
        ["yes", "no", "TRUE", "1"],
        {"columns": {"v": "boolean"}},
        "boolean",
        [True, False, True, True],
    ),
    "55 infinities": (["1", "inf", "-inf", "2"], {}, "number", [1, float("inf"), float("-inf"), 2]),
    "57 declared an id": (
        ["18446744073709551615", "7"],
        {"columns": {"v": "id"}},
        "id",
        ["18446744073709551615", "7"],
    ),
    "58 beside an empty cell": (["9007199254740993", "", "5"], {}, "number", [9007199254740993, None, 5]),
    "58 long ids": (
        ["900719925474099312", "900719925474099313"],
        {},
        "id",
        ["900719925474099312", "900719925474099313"],
    ),
    "59 at the ends of float64": (
        ["5e-324", "-0.0", "1e308", "-1e308"],
        {},
        "number",
        [5e-324, 0.0, 1e308, -1e308],
    ),
    "70 formulas": (
        ["=cmd|' /C calc'!A0", "+1+2", "@SUM(1)"],
        {},
        "category",
        ["=cmd|' /C calc'!A0", "+1+2", "@SUM(1)"],
    ),
    "72 a day over 12": (
        ["01/02/2020", "13/02/2020"],
        {},
        "datetime",
        ["2020-02-01 00:00:00", "2020-02-13 00:00:00"],
    ),
    "72 declared": (
        ["01/02/2020", "03/04/2020"],
        {"date_format": "%d/%m/%Y"},
        "datetime",
        ["2020-02-01 00:00:00", "2020-04-03 00:00:00"],
    ),
    "73 zones": (
        ["2020-01-01T10:00:00+01:00", "2020-01-01T10:00:00Z"],
        {},
        "datetime",
        ["2020-01-01 09:00:00+00:00", "2020-01-01 10:00:00+00:00"],
    ),
    "73 an hour that no clock showed": (
        ["2021-03-28T02:30:00", "2021-10-31T02:30:00"],
        {},
        "datetime",
        ["2021-03-28 02:30:00", "2021-10-31 02:30:00"],
    ),
    "74 days of Excel alone are numbers": (["43831", "43832"], {}, "number", [43831, 43832]),
    "75 numbers are numbers": (["1", "2", "3"], {}, "number", [1, 2, 3]),
    "75 codes when declared": (["1", "2", "3"], {"columns": {"v": "category"}}, "category", ["1", "2", "3"]),
}


@pytest.mark.parametrize("case", HANDLED)
def test_cells_arrive_as_what_they_are(tmp_path: Path, case: str) -> None:
    values, keys, kind, expected = HANDLED[case]
    found = cells(tmp_path, values, **keys)
    assert [str(cell) if kind == "datetime" and cell else cell for cell in found] == expected
    told = check(tmp_path, table(v=values), **keys)
    assert told.exit_code == 0, told.line
    assert told.kinds["v"] == kind


REFUSED: dict[str, tuple[list[str], dict[str, object], str, str, str]] = {
    "49 thousands": ([q("1,234"), "5"], {}, "E049", "'v', data row 1, found '1,234'", "data.thousands: ','"),
    "50 a decimal comma": (["7", q("1,5")], {}, "E050", "'v', data row 2, found '1,5'", "data.decimal: ','"),
    "53 two pairs": (["yes", "no", "TRUE", "1"], {}, "E053", "found '1, no, true, yes'", "{'v': boolean}"),
    "55 by rule": (
        ["1", "inf"],
        {"clean": {"infinite": "refuse"}},
        "E055",
        "data row 2, found '30 infinite'",
        "missing",
    ),
    "57 beyond 64 bits": (["1", "18446744073709551615"], {}, "E057", "'v', data row 2", "{'v': id}"),
    "72 no day over 12": (["01/02/2020", "03/04/2020"], {}, "E072", "found '01/02/2020'", "%d/%m/%Y"),
    "72 both orders": (["13/02/2020", "02/13/2020"], {}, "E072", "found '13/02/2020'", "2020-02-13"),
    "73 zones in some rows": (
        ["2020-01-01T10:00:00Z", "2020-01-01T10:00:00"],
        {},
        "E073",
        "data row 2",
        "zone",
    ),
    "74 the year 0": (
        ["2020-01-02", "0000-01-01"],
        {},
        "E074",
        "data row 2, found '0000-01-01'",
        "data.missing",
    ),
    "74 no date at all": (
        ["2020-01-02", "0000-00-00"],
        {},
        "E074",
        "data row 2, found '0000-00-00'",
        "data.missing",
    ),
    "74 the end of time": (["2020-01-02", "9999-12-31"], {}, "E074", "found '9999-12-31'", "data.missing"),
    "74 beyond nanoseconds": (["2020-01-02", "2300-01-01"], {}, "E074", "found '2300-01-01'", "data.missing"),
    "74 no such day": (
        ["2020-01-02", "2020-02-30"],
        {},
        "E074",
        "data row 2, found '2020-02-30'",
        "data.missing",
    ),
    "74 days of Excel between dates": (
        ["2020-01-02", "43831"],
        {},
        "E074",
        "data row 2, found '43831'",
        "2020-02-13",
    ),
    "74 days of Excel declared dates": (
        ["43831", "43832"],
        {"columns": {"v": "datetime"}},
        "E074",
        "data row 1",
        "data.date_format",
    ),
    "74 seconds and milliseconds": (
        ["1577836800", "1577836801000"],
        {},
        "E074",
        "'v', first in data row 2, found '1577836801000'",
        "one unit",
    ),
    "48 a word in declared numbers": (
        ["1", "V57"],
        {"columns": {"v": "number"}},
        "E054",
        "data row 2, found 'V57'",
        "data.missing",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_has_two_meanings_is_refused(tmp_path: Path, case: str) -> None:
    values, keys, code, where, mend = REFUSED[case]
    refused(check(tmp_path, table(v=values), **keys), code, where, mend)


WARNED: dict[str, tuple[list[str], dict[str, object], str]] = {
    "46 several words for missing": (["1", "NA", "-", "2"], {}, "column 'v': missing is written in 2 ways"),
    "51 currency": (
        ["$5", "$7", "$8.50"],
        {},
        "column 'v': numbers with a unit are levels: write data.columns: {'v': number}",
    ),
    "51 two units": (["3 kg", "4 g", "5 kg"], {}, "give all numbers one unit at the source"),
    "54 some words": (
        [str(i / 7) for i in range(59)] + ["V57"],
        {},
        "1 of 60 values are no numbers, first in data row 60",
    ),
    "60 no value": ([""], {}, "left out: 'v' (all missing in train, E060)"),
    "61 one value": (["7"], {}, "left out: 'v' (constant in train, E061)"),
    "64 a number for each row": (
        [str(i) for i in range(ROWS)],
        {},
        "left out: 'v' (id-like: it numbers the 36 train rows in their order, E064)",
    ),
    "64 codes": ([f"k{i * 7}" for i in range(ROWS)], {}, "left out: 'v' (id-like"),
}


@pytest.mark.parametrize("case", WARNED)
def test_what_is_odd_is_said(tmp_path: Path, case: str) -> None:
    values, keys, warning = WARNED[case]
    told = check(tmp_path, table(v=values), **keys)
    assert told.exit_code == 0, told.line
    assert warning in told.warnings


def test_52_normalised_cells_are_counted(tmp_path: Path) -> None:
    assert "15 cells look-alike characters (normalised)" in check(
        tmp_path, table(v=["1", "2", "3", "\uff14"])
    ).screen.replace("\n", " ")


def test_54_words_that_begin_like_months_are_no_dates(tmp_path: Path) -> None:
    told = check(tmp_path, table(v=["Married", "Separated", "Decided", "Marching", "Octopus", "single"]))
    assert told.kinds["v"] == "category"
    assert "no dates" not in told.warnings


def test_64_floats_and_free_text_are_never_ids(tmp_path: Path) -> None:
    floats = [f"{i * 7.13:.3f}" for i in range(ROWS)]
    texts = [f"the {i}th remark about thing number {i * 31 % 59}" for i in range(ROWS)]
    told = check(tmp_path, table(v=floats, w=texts))
    assert (told.kinds["v"], told.kinds["w"]) == ("number", "text")
    assert "left out" not in told.warnings


def encoder_of(train: pa.Table, *features: str):
    from etude.columns import schema
    from etude.encoding.encoder import fit

    data = Data(source="s", target="y")
    return fit(train, schema.infer(train, data), data, "classification", 0, features)


def labelled(**columns: list[object]) -> pa.Table:
    rows = len(next(iter(columns.values())))
    return pa.table({**columns, "y": [("no", "yes")[i * i % 3 % 2] for i in range(rows)]})


def test_56_missing_numbers_are_imputed_by_train_alone() -> None:
    train = labelled(v=[1.0, 2.0, 3.0, None] * 9)
    encoder = encoder_of(train, "v")
    missing = encoder.transform(pa.table({"v": pa.array([None, 2.0], pa.float64())})).numbers
    assert missing[0, 0] == missing[1, 0], "the median of train stands for a missing value"
    assert missing[:, 1].tolist() == [1, 0]


@pytest.mark.parametrize(
    "values", [[5e-324, -0.0, 1e308, -1e308], [1e308, 1.7e308, 1e-300, 0.0], [1e15, 1e15 + 1, 1e15 + 2, 1e15]]
)
def test_59_scaled_values_are_finite(values: list[float]) -> None:
    import numpy as np

    encoder = encoder_of(labelled(v=values * 9), "v")
    new = pa.table({"v": [*values, 1.7e308, -1.7e308, 0.0, None]})
    assert np.isfinite(encoder.transform(new).numbers).all()


def test_62_and_63_what_did_not_vary_in_train_does_no_harm() -> None:
    import numpy as np

    encoder = encoder_of(
        labelled(v=[7.0] * 36, w=[7.0] * 35 + [7.0 + 1e-15], x=[1.0, 2.0, 3.0] * 12), "v", "w", "x"
    )
    assert [left.name for left in encoder.left_out][:1] == ["v"]
    new = pa.table({"v": [1e9, -1.0], "w": [1e9, -1.0], "x": [1.0, 2.0]})
    assert np.isfinite(encoder.transform(new).numbers).all()


def test_65_a_million_levels_take_little_memory() -> None:
    import tracemalloc

    levels = pa.array([str(i) for i in range(250_000)] + ["often"] * 750_000)
    train = pa.table({"v": levels, "y": pa.array(["no", "yes"] * 500_000)})
    tracemalloc.start()
    encoder = encoder_of(train, "v")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert encoder.cardinalities == (3,)
    assert peak < 4 * train.nbytes + 10_000_000


def test_66_and_67_levels_that_train_never_showed_are_the_unknown_and_counted() -> None:
    encoder = encoder_of(labelled(v=["a", "b", "c"] * 12), "v")
    new = pa.table({"v": ["a", "never", None, "seen"]})
    codes = encoder.transform(new).categories[:, 0].tolist()
    assert codes[1] == codes[3] == 0
    assert codes[0] > 1
    assert encoder.counts(new) == {"v": {"missing": 1, "unknown": 2}}
    again = encoder_of(labelled(v=["a", "b", "c"] * 12), "v")
    assert again.digest() == encoder.digest(), "what comes later never reaches the fit"


def report_of(folder: Path, values: list[str], name: str = "v") -> tuple[Told, str]:
    """The data report's page beside what the command said."""
    from etude.report import data_report

    pages: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        written = data_report.html
        patch.setattr(data_report, "html", lambda report: pages.append(page := written(report)) or page)
        told = check(folder, table(**{name: values}))
    assert told.exit_code == 0, told.line
    page = pages[0]
    return told, page.decode() if isinstance(page, bytes) else page


def test_68_a_text_of_a_megabyte_is_cut_in_reports(tmp_path: Path) -> None:
    told, page = report_of(tmp_path, ["a" * 1_000_000, "b", "c"])
    assert len(page) < 100_000
    assert len(told.screen) < 20_000
    assert cells(tmp_path, ["a" * 1_000_000, "b", "c"])[0] == "a" * 1_000_000


NAUGHTY = [
    "\x1b[31mred",
    "\u202eabc",
    "<script>alert(1)</script>",
    "😀 Ω≈ç√",
    "{{7*7}}",
    "[bold]x[/bold]",
    "\x07bell",
]


def test_69_and_71_naughty_cells_are_escaped_wherever_they_are_shown(tmp_path: Path) -> None:
    assert cells(tmp_path, NAUGHTY) == NAUGHTY
    told, page = report_of(tmp_path, NAUGHTY)
    for text in (page, told.screen):
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert "\x07" not in text
        assert "<script>alert" not in text


@pytest.mark.parametrize(
    "name", ["<b>x</b>", "\x1b[31mred", "\u202eabc", "[bold]x[/bold]", "{{7*7}}", "=1+1"]
)
def test_71_a_naughty_name_is_escaped_wherever_it_is_shown(tmp_path: Path, name: str) -> None:
    told, page = report_of(tmp_path, ["1", "2", "3"], name)
    assert told.kinds[name] == "number"
    for text in (page, told.screen):
        assert "\x1b" not in text
        assert "\u202e" not in text
    assert "<b>x</b>" not in page
    if name == "[bold]x[/bold]":
        assert name in told.screen
    line = refused(check(tmp_path, table(**{name: ["01/02/2020", "03/04/2020"]})), "E072", "column")
    assert line.isprintable()


def test_44_a_table_to_predict_may_be_in_another_order_but_not_in_other_columns() -> None:
    import torch

    from etude.columns import schema
    from etude.model import Model

    train = labelled(v=["a", "b", "c"] * 12, w=[1.0, 2.0, 3.0, 4.0] * 9)
    encoder = encoder_of(train, "v", "w")
    one = encoder.transform(train)
    other = encoder.transform(train.select(["y", "w", "v"]))
    assert (one.numbers == other.numbers).all()
    assert (one.categories == other.categories).all()
    from etude.errors import DataError

    with pytest.raises(DataError, match=r"E044 .*missing: 'w'; did you mean 'W'\?"):
        encoder.transform(train.rename_columns(["v", "W", "y"]))
    data = Data(source="s", target="y")
    model = Model(schema.infer(train, data), encoder, network=torch.nn.Identity(), threads=1)
    frame = train.to_pandas()
    assert model.parsed(frame[["w", "y", "v"]]).equals(model.parsed(frame))
    with pytest.raises(DataError, match=r"E044 .*missing: 'w'; .*did you mean 'W'\?"):
        model.parsed(frame.rename(columns={"w": "W"}))


def test_70_no_module_writes_csv_where_a_formula_could_hide() -> None:
    """A CSV file that Etude wrote would need a quote before every = + - @: it writes JSON, Arrow and HTML instead."""
    root = Path(__file__).parent.parent
    sources = [path for folder in ("src", "tasks", "flows") for path in (root / folder).rglob("*.py")]
    assert len(sources) > 100
    writers = ("to_csv(", "csv.writer", "csv.DictWriter", "write_csv(")
    assert not [path.name for path in sources for writer in writers if writer in path.read_text()]


def test_the_same_refusal_in_python(tmp_path: Path) -> None:
    import pandas as pd

    from etude.errors import DataError

    frame = pd.DataFrame({"v": ["1,5", "2,5"] * 30, "y": ["no", "yes", "no"] * 20})
    with pytest.raises(DataError) as caught:
        collect(Store(tmp_path / "store"), Data(source="frame", target="y"), Split(), str(tmp_path), frame)
    told = refused(check(tmp_path, frame.to_csv(index=False)), "E050")
    assert told == str(caught.value)


def test_json_of_a_refusal_holds_the_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "table.csv").write_text(table(v=["01/02/2020", "03/04/2020"]))
    path = experiment(tmp_path)
    monkeypatch.setattr("sys.argv", ["etude", "check", str(path), "--json"])
    told = etude("check", str(path), "--json")
    assert json.loads(told.screen.splitlines()[-1])["error"]["code"] == "E072"
