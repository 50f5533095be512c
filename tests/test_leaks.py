"""Leaks: each kind is found where it was put, named with the line to add, and an honest table is left in peace."""

import json

import numpy as np
import pandas as pd
import pytest
import yaml

from etude.columns import parsing, schema
from etude.experiment import Data, Split
from etude.experiment_file import load
from etude.leaks.finding import Finding, dropping, splitting, yaml_name
from etude.leaks.look import Scene, find
from etude.leaks.order import is_id
from etude.leaks.rows import Feature, Sample
from etude.leaks.times import is_clock
from etude.reading import any_table
from etude.steps.clean import clean
from etude.steps.collect import collect
from etude.steps.encode import encode
from etude.steps.split import split

ROWS = 400


def honest(seed: int = 0, rows: int = ROWS) -> pd.DataFrame:
    """Two hidden causes in five numbers and a category; a price and a class that they decide in part."""
    draw = np.random.default_rng(seed)
    first, second = draw.normal(size=(2, rows))
    return pd.DataFrame(
        {
            "size": first + draw.normal(size=rows) * 0.4,
            "weight": first * 2 + second + draw.normal(size=rows) * 0.5,
            "age": np.round(40 + 10 * second + draw.normal(size=rows)),
            "speed": np.exp(second + draw.normal(size=rows) * 0.5),
            "noise": draw.normal(size=rows),
            "colour": np.array(["red", "blue", "green", "grey"])[
                np.searchsorted([-1, 0, 1], first + draw.normal(size=rows))
            ],
            "price": 100 + 10 * (first + second + draw.normal(size=rows) * 0.8),
            "grade": np.where(first + draw.normal(size=rows) * 0.6 > 0, "good", "poor"),
        }
    )


def looked(frame: pd.DataFrame, target: str, by: str = "random", **data: object) -> tuple[Finding, ...]:
    """The findings, every row being a train row."""
    settings = Data(source="frame", target=target, **data)
    raw = any_table.read_frame(frame)
    kinds = schema.infer(raw.table, settings)
    table = parsing.parse(raw.table, kinds).table
    names = [name for name in table.column_names if name != target]
    return find(
        Scene(
            table,
            np.arange(len(table)),
            kinds,
            settings,
            Split(by=by),
            names,
            frame[target].dtype == float,
            0,
        )
    )


def prices(seed: int = 0) -> pd.DataFrame:
    return honest(seed).drop(columns="grade")


def grades(seed: int = 0) -> pd.DataFrame:
    return honest(seed).drop(columns="price")


def kinds_of(found: tuple[Finding, ...]) -> list[tuple[str, tuple[str, ...]]]:
    return [(finding.kind, finding.columns) for finding in found]


@pytest.mark.parametrize("seed", range(4))
def test_an_honest_table_is_left_in_peace(seed: int) -> None:
    assert looked(prices(seed), "price") == ()
    assert looked(grades(seed), "grade") == ()


DRAW = np.random.default_rng(5)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (lambda y: np.log(y), "target copy"),
        (lambda y: -y / 7 + 3, "target copy"),
        (lambda y: np.floor(y / 15), "target copy"),
        (lambda y: np.array([f"band {int(b)}" for b in np.floor(y / 15)], dtype=object), "target copy"),
        (lambda y: np.where(DRAW.random(len(y)) < 0.2, np.nan, y**3), "target copy"),
        (lambda y: y + DRAW.normal(size=len(y)) * 0.3, "near copy"),
        (lambda y: y + DRAW.normal(size=len(y)) * 4, "known afterwards"),
        (lambda y: np.where(y > np.median(y), DRAW.normal(size=len(y)), np.nan), "missing with the target"),
    ],
    ids=["logarithm", "affine", "bins", "bins as words", "gaps", "near", "afterwards", "missing"],
)
def test_what_gives_a_number_away_is_found(values, kind) -> None:
    frame = prices().assign(told=lambda t: values(t["price"].to_numpy()))
    assert kinds_of(looked(frame, "price")) == [(kind, ("told",))]


def test_two_columns_that_add_up_to_the_target_are_found() -> None:
    frame = prices().assign(
        part=lambda t: t["price"] * DRAW.random(ROWS), rest=lambda t: t["price"] - t["part"]
    )
    assert kinds_of(looked(frame, "price")) == [("target copy", ("part", "rest"))]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (lambda good: np.where(good, 7.0, -1.0), "target copy"),
        (
            lambda good: np.array(["ab"[int(g)] + str(DRAW.integers(4)) for g in good], dtype=object),
            "near copy",
        ),
        (lambda good: good + DRAW.normal(size=len(good)) * 0.08, "near copy"),
        (
            lambda good: np.where(
                good & (DRAW.random(len(good)) < 0.97), DRAW.lognormal(3, 1, len(good)), 0.0
            ),
            "known afterwards",
        ),
        (lambda good: np.where(good, None, "by phone"), "missing with the target"),
    ],
    ids=["other words", "codes", "noisy", "amount after the outcome", "filled for one class"],
)
def test_what_gives_a_class_away_is_found(values, kind) -> None:
    frame = grades().assign(told=lambda t: values((t["grade"] == "good").to_numpy()))
    found = looked(frame, "grade")
    assert [finding.columns for finding in found] == [("told",)]
    assert found[0].kind in {kind, "target copy"}
    assert found[0].line == "`data: {drop: [told]}`, or `data: {allow: [told]}` to keep it"


def test_an_allowed_column_is_not_spoken_of() -> None:
    frame = prices().assign(told=lambda t: np.log(t["price"]))
    assert looked(frame, "price", allow=("told",)) == ()


def test_ids_that_follow_the_target_are_found_and_others_are_not() -> None:
    frame = grades()
    frame["case_id"] = frame["grade"].rank(method="first").astype(int) + 1000
    assert kinds_of(looked(frame, "grade")) == [("id carries the target", ("case_id",))]
    frame["case_id"] = np.random.default_rng(1).permutation(ROWS)
    assert looked(frame, "grade") == ()
    frame["case_id"] = [
        f"{g[0].upper()}-{i:05d}" for g, i in zip(frame["grade"], frame["case_id"], strict=True)
    ]
    assert kinds_of(looked(frame, "grade")) == [("id carries the target", ("case_id",))]


def test_rows_sorted_by_the_target_are_found() -> None:
    assert kinds_of(looked(grades().sort_values("grade", kind="stable"), "grade")) == [("row order", ())]


def test_subjects_that_a_random_split_parts_are_found_and_a_group_split_mends_it() -> None:
    frame = prices().iloc[np.repeat(np.arange(40), 10)].reset_index(drop=True)
    draw = np.random.default_rng(2)
    for name in ("size", "weight", "age", "speed", "noise", "price"):
        frame[name] += draw.normal(size=ROWS) * 0.1 * frame[name].std()
    frame["subject"] = draw.permutation(40).repeat(10)
    (found,) = looked(frame, "price")
    assert (found.kind, found.line) == ("groups", "`split: {by: group, column: subject}`")
    assert found.evidence["r2_split_by_rows"] > found.evidence["r2_split_by_groups"] + 0.1
    assert all(
        f.kind != "groups" for f in looked(prices().assign(subject=draw.permutation(400) // 10), "price")
    )


def test_a_target_that_drifts_with_a_date_is_found() -> None:
    frame = prices()
    days = np.sort(np.random.default_rng(3).integers(0, 900, ROWS))
    frame["price"] += 40 * np.sin(days / 60)
    frame["sold"] = (pd.Timestamp("2020-01-01") + pd.to_timedelta(days, "D")).strftime("%Y-%m-%d")
    for order in (np.arange(ROWS), np.random.default_rng(4).permutation(ROWS)):
        (found,) = looked(frame.iloc[order].reset_index(drop=True), "price")
        assert (found.kind, found.line) == ("time", "`split: {by: time, column: sold}`")
    assert looked(prices().assign(sold=frame["sold"]), "price") == ()


def test_equal_rows_beyond_chance_are_counted() -> None:
    twice = pd.concat([prices(), prices().head(60)], ignore_index=True)
    (found,) = looked(twice, "price")
    assert (found.kind, found.evidence["rows"], found.evidence["pairs"]) == ("equal rows", 120, 60)
    coarse = pd.DataFrame(
        {"a": DRAW.integers(0, 3, ROWS), "b": DRAW.integers(0, 3, ROWS), "y": DRAW.integers(0, 2, ROWS)}
    )
    assert all(finding.kind != "equal rows" for finding in looked(coarse, "y"))


def test_near_duplicates_are_found() -> None:
    frame, twins = prices(), prices().head(100)
    for name in ("size", "weight", "age", "speed", "noise"):
        twins[name] += np.random.default_rng(6).normal(size=100) * 0.005 * frame[name].std()
    both = pd.concat([frame, twins]).sample(frac=1, random_state=0)
    assert kinds_of(looked(both, "price")) == [("near duplicates", ())]


def test_conflicting_labels_come_with_the_best_accuracy() -> None:
    frame = grades()
    other = frame.head(40).assign(grade=lambda t: np.where(t["grade"] == "good", "poor", "good"))
    found = looked(pd.concat([frame, other], ignore_index=True), "grade")
    (conflict,) = [finding for finding in found if finding.kind == "conflicting labels"]
    assert conflict.evidence["rows"] == 80
    assert conflict.evidence["best_accuracy"] == pytest.approx(400 / 440)


@pytest.mark.parametrize("name", ["plain", "subject#", "No", "a, b", "Bär", '"', "1st", "x: y"])
def test_the_line_to_add_is_yaml_that_names_the_column(name: str) -> None:
    assert yaml.safe_load(f"[{yaml_name(name)}]") == [name]
    assert yaml.safe_load(splitting("group", name).strip("`"))["split"] == {"by": "group", "column": name}
    assert yaml.safe_load(dropping(name).split("`")[1])["data"] == {"drop": [name]}


def test_the_encode_step_warns_tags_and_files_what_it_found_without_any_cell(store, tmp_path) -> None:
    frame = grades().assign(
        told=lambda t: np.where(t["grade"] == "good", DRAW.lognormal(3, 1, ROWS) + 1, 0.0)
    )
    frame.to_csv(tmp_path / "t.csv", index=False)
    (tmp_path / "t.yaml").write_text("name: t\ndata: {source: t.csv, target: grade}\n")
    e = load(tmp_path / "t.yaml")
    cleaned = clean(store, collect(store, e.data, e.split, str(tmp_path)).outputs, e.data, e.clean).outputs
    parts = split(store, cleaned, e.data, e.split, 0).outputs
    first = encode(store, cleaned, parts, e.data, e.split, 0)
    assert first.record.tags["leaks"].endswith(": told")
    assert any(
        "`data: {drop: [told]}`" in warning and "(E097)" in warning for warning in first.record.warnings
    )
    listed = json.loads(store.get(first.record.files["encode/leaks.json"]))
    assert [finding["columns"] for finding in listed] == [["told"]]
    assert "good" not in json.dumps(listed)
    allowed = e.data.model_copy(update={"allow": ("told",)})
    second = encode(store, cleaned, parts, allowed, e.split, 0)
    assert "leaks" not in second.record.tags
    assert second.digest == first.digest, "a finding changes nothing that is learned"


def test_three_million_rows_are_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    from etude.leaks import look, rows

    sizes = []
    real = rows.sample
    monkeypatch.setattr(
        look, "sample", lambda t, p, picked, *a, **k: sizes.append(len(picked)) or real(t, p, picked, *a, **k)
    )
    frame = (
        honest(rows=60_000).drop(columns=["grade", "colour"]).assign(told=lambda t: np.log(t["price"] + 200))
    )
    assert kinds_of(looked(frame, "price")) == [("target copy", ("told",))]
    assert sizes
    assert max(sizes) <= rows.MOST_ROWS


def test_extreme_numbers_are_no_trouble(store) -> None:
    frame = grades().assign(
        huge=DRAW.uniform(-1, 1, ROWS) * 1.7e308, tiny=DRAW.uniform(size=ROWS) * 1e-310, empty=None
    )
    assert looked(frame, "grade") == ()


def numbers_of(name: str, values: np.ndarray) -> tuple[Feature, Sample]:
    rows = len(values)
    nothing = np.zeros((rows, 1))
    sample = Sample((), nothing[:, 0], nothing, np.arange(rows), rows, regression=True)
    return Feature(name, "number", values.astype(np.float64)), sample


def test_whole_numbers_are_an_id_by_name_or_when_they_are_dense() -> None:
    shuffled = np.random.default_rng(0).permutation(200)
    assert is_id(*numbers_of("x", shuffled))
    assert not is_id(*numbers_of("x", shuffled * 1_000)), "so far apart they measure something"
    assert is_id(*numbers_of("patient_id", shuffled * 1_000))
    assert not is_id(*numbers_of("x", np.where(shuffled < 5, np.nan, shuffled)))


def test_a_clock_goes_on_in_most_rows() -> None:
    hours = np.arange(200)
    assert is_clock(*numbers_of("hour", hours))
    assert not is_clock(*numbers_of("hour", np.where(hours < 80, 0, hours)))
