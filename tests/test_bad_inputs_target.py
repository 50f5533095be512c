"""Bad inputs 76-100: the target, the task and the split, through the command."""

from __future__ import annotations

from pathlib import Path

import pytest
from bad_inputs import YES, check, refused


def with_target(values: list[str], rows: int = 60) -> str:
    """CSV with a number, a category of four levels and the target ``y``."""
    body = (
        f"{i * 37 % 1009},{'abcd'[i * i % 7 % 4]},{values[int(YES[i % 64]) + i % len(values) - 1]}\n"
        for i in range(rows)
    )
    return "x,c,y\n" + "".join(body)


NUMBERS = [str(i / 7) for i in range(59)]

REFUSED: dict[str, tuple[str, dict[str, object], str, str, str]] = {
    "76 misspelt": (
        with_target(["a", "b"]),
        {"target": "yy"},
        "E076",
        "table.csv, found 'yy'",
        "did you mean 'y'?",
    ),
    "76 allowed but not there": (
        with_target(["a", "b"]),
        {"allow": ["xx"]},
        "E076",
        "table.csv, found 'xx'",
        "did you mean 'x'?",
    ),
    "77 also dropped": (with_target(["a", "b"]), {"drop": ["y"]}, "E101", "e.yaml:1:", "data.drop"),
    "77 also the group": (
        with_target(["a", "b"]),
        {"split": {"by": "group", "column": "y"}},
        "E077",
        "e.yaml",
        "split.column",
    ),
    "78 blank": (with_target(["a", "b", ""]), {}, "E078", "'y', first in data row ", "missing_target: drop"),
    "79 infinite": (with_target([*NUMBERS, "inf"]), {}, "E079", "'y', first in data row ", "mend the source"),
    "80 one class": (with_target(["a"]), {}, "E080", "'y', found 'a'", "another target"),
    "83 a test too small": (
        "x,y\n" + "".join(f"{i * 37 % 101},k{i % 20}\n" for i in range(60)),
        {"split": "stratified"},
        "E083",
        "test row for each of the 20 classes",
        "larger split.test",
    ),
    "81 a lone class": (
        with_target(["a", "b"], 59) + "1,a,lone\n",
        {"split": "stratified"},
        "E081",
        "1 of 3 classes have one row, found 'lone'",
        "leave those rows out",
    ),
    "84 regression on words": (
        with_target(["a", "b"]),
        {"task": "regression"},
        "E084",
        "'y', found '",
        "classification",
    ),
    "84 classes of floats": (
        with_target(NUMBERS),
        {"task": "classification"},
        "E084",
        "distinct values in 60 rows",
        "regression",
    ),
    "87 constant": (with_target(["3.5"]), {}, "E087", "'y', found '3.5'", "another target"),
    "89 several labels": (
        with_target(["a|b", "b", "a|c", "c|b"]),
        {},
        "E089",
        "'y', found '",
        "column for each label",
    ),
    "89 several with blanks": (
        with_target(['"a, b"', "b", '"a, c"', "c", '"a, b, c"']),
        {},
        "E089",
        "found 'a, b, c'",
        "column for each",
    ),
    "89 lists": (
        with_target(['"[1, 0]"', '"[0, 1]"', '"[1, 1]"']),
        {},
        "E089",
        "'y', found '[",
        "column for each label",
    ),
    "91 two rows": (with_target(["a", "b"], 2), {}, "E091", "found '2'", "more rows"),
    "91 fewer rows than parts": (
        with_target(["1.5", "2.5", "3.5"], 3),
        {"split": {"test": 0.1}},
        "E091",
        "none to",
        "more rows",
    ),
    "92 more than all": (
        with_target(["a", "b"]),
        {"split": {"test": 0.6, "validation": 0.6}},
        "E092",
        "is 1.2",
        "",
    ),
    "92 nothing": (with_target(["a", "b"]), {"split": {"test": 0}}, "E092", "e.yaml:1:", "found '0'"),
    "92 negative": (with_target(["a", "b"]), {"split": {"test": -0.1}}, "E092", "e.yaml:1:", "found '-0.1'"),
    "92 over one": (with_target(["a", "b"]), {"split": {"test": 1.5}}, "E092", "e.yaml:1:", "found '1.5'"),
    "92 not a number": (
        with_target(["a", "b"]),
        {"split": {"test": ".nan"}},
        "E092",
        "e.yaml:1:",
        "found '.nan'",
    ),
    "95 too few groups": (
        with_target(["a", "b"]),
        {"split": {"by": "group", "column": "c"}, "target": "x"},
        "E091",
        "gives none",
        "groups",
    ),
    "96 words as time": (
        with_target(["a", "b"]),
        {"split": {"by": "time", "column": "c"}},
        "E096",
        "column 'c'",
        "data.date_format",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_target_or_split_that_cannot_be_is_refused(tmp_path: Path, case: str) -> None:
    content, keys, code, where, mend = REFUSED[case]
    refused(check(tmp_path, content, **keys), code, where, mend)


HANDLED: dict[str, tuple[str, dict[str, object], str, str]] = {
    "78 rows without one are dropped": (
        with_target(["a", "b", ""]),
        {"clean": {"missing_target": "drop"}},
        "classification",
        "",
    ),
    "81 a lone class": (
        with_target(["a", "b"], 59) + "1,a,lone\n",
        {},
        "classification",
        "1 of 3 classes have one row, which went to train (E081)",
    ),
    "82 a class that a part lacks": (
        with_target(["a", "b"], 59) + "1,a,lone\n",
        {},
        "classification",
        "1 of 3 classes have no row in test (E082)",
    ),
    "84 many numbers": (with_target(NUMBERS), {}, "regression", ""),
    "85 one to three": (with_target(["1", "2", "3"]), {}, "classification", ""),
    "85 negative": (with_target(["-1", "1"]), {}, "classification", ""),
    "85 truth in words": (with_target(["true", "false"]), {}, "classification", ""),
    "88 one in three thousand": (
        with_target(["a"], 3000) + "5,a,b\n6,b,b\n7,c,b\n",
        {},
        "classification",
        "the rarest class has 3 of 3,003 rows",
    ),
    "89 a comma is no list": (
        with_target(['"low, left"', '"low, right"', '"high, left"', '"high, right"']),
        {},
        "classification",
        "",
    ),
    "89 declared single classes": (
        with_target(["a|b", "b", "a|c", "c|b"]),
        {"columns": {"y": "category"}},
        "classification",
        "",
    ),
    "93 copies of rows": (
        "x,y\n" + "".join(f"{i},{'ab'[i % 2]}\n" for i in range(30)) * 4,
        {"allow": ["x"]},
        "classification",
        "",
    ),
}


@pytest.mark.parametrize("case", HANDLED)
def test_what_can_be_learned_is_and_what_is_odd_is_said(tmp_path: Path, case: str) -> None:
    content, keys, task, warning = HANDLED[case]
    told = check(tmp_path, content, **keys)
    assert told.exit_code == 0, told.line
    assert told.answer["task"] == task
    assert warning in told.warnings


def test_85_one_label_has_one_code_however_it_is_spelled(tmp_path: Path) -> None:
    from etude.encoding.target import fit
    from etude.experiment import Data, Split
    from etude.snapshot import from_bytes
    from etude.steps.collect import collect
    from etude.store import Store

    (tmp_path / "table.csv").write_text(with_target(["0", "0.0", "1", "1.0", "-0"]))
    store = Store(tmp_path / "store")
    collected = collect(store, Data(source="table.csv", target="y"), Split(), str(tmp_path))
    target = from_bytes(store.get(collected.outputs.table))["y"]
    assert fit(target, "y", "classification").labels == ("0", "1")


def test_86_a_label_that_train_does_not_know_is_counted(tmp_path: Path) -> None:
    rows = "".join(
        f"{i * 37 % 1009},{('train', 'validation', 'test')[i % 3]},{'new' if i % 6 == 1 else 'ab'[int(YES[i])]}\n"
        for i in range(60)
    )
    told = check(tmp_path, "x,p,y\n" + rows, split={"by": "column", "column": "p"})
    assert (
        "10 validation rows have labels that train does not know; they are left out (E086)" in told.warnings
    )


def test_95_a_group_is_never_on_two_sides(tmp_path: Path) -> None:
    rows = "".join(f"{i * 37 % 1009},g{i % 20},{'ab'[int(YES[i % 64])]}\n" for i in range(200))
    told = check(tmp_path, "x,g,y\n" + rows, split={"by": "group", "column": "g"})
    assert told.exit_code == 0, told.line
    assert all(count % 10 == 0 for count in told.answer["rows"].values()), "a group has ten rows"


def test_97_a_copy_of_the_target_is_refused_unless_it_is_allowed(tmp_path: Path) -> None:
    content = with_target(["a", "b"])
    lines = [line + "," + {"y": "z", "a": "A1", "b": "B1"}[line[-1]] for line in content.splitlines()]
    copied = "\n".join(lines) + "\n"
    refused(check(tmp_path, copied), "E097", "column 'z'", "data.allow: [z]")
    assert check(tmp_path, copied, allow=["z"]).exit_code == 0


def test_85_labels_that_differ_in_spelling_alone_are_said_with_the_line_that_mends_them(
    tmp_path: Path,
) -> None:
    told = check(tmp_path, with_target(["Yes", "yes", "no", "no", "Yes"], rows=120))
    assert "labels that differ only in spelling are classes of their own (1 of 3)" in told.warnings
    assert 'data.labels: {"yes": "Yes"} makes them one (E085)' in told.warnings
    mended = check(tmp_path, with_target(["Yes", "yes", "no", "no", "Yes"], rows=120), labels={"yes": "Yes"})
    assert "E085" not in mended.warnings
    hidden = check(tmp_path, with_target(["Yes", "yes", "no", "no", "Yes"], rows=120), private=True)
    assert "E085" in hidden.warnings
    assert "Yes" not in hidden.warnings
