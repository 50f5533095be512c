from __future__ import annotations

from pathlib import Path

import pytest

from etude.errors import ExperimentError
from etude.experiment import Experiment
from etude.experiment_file import checked, load

WHOLE = """\
name: penguins
seed: 0
data:
  source: data/penguins_raw.csv
  target: Species
  drop: [Comments]
  missing: [NA, -999, no]
split: {by: stratified, test: 0.2, validation: 0.2}
network: {kind: mlp, hidden: [64, 64], dropout: 0.1}
train: {epochs: 50, batch_size: 32, learning_rate: 1e-3, patience: 10}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "x.yaml"
    path.write_text(WHOLE)
    return path


def test_the_smallest_file_is_a_name_a_source_and_a_target(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("name: x\ndata: {source: t.csv, target: y}\n")
    assert load(path) == Experiment(name="x", data={"source": "t.csv", "target": "y"})


def test_scalars_keep_their_text_until_the_schema_types_them(file: Path) -> None:
    experiment = load(file)
    assert experiment.data.missing == ("NA", "-999", "no")
    assert experiment.train.learning_rate == 0.001
    assert experiment.network.hidden == (64, 64)


def test_a_bare_word_is_a_split(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("name: x\ndata: {source: t.csv, target: y}\nsplit: random\n")
    assert load(path).split.by == "random"
    assert load(path, ["split.test=0.3"]).split.test == 0.3


def test_a_key_without_a_value_means_its_default(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("name: x\ndata: {source: t.csv, target: y}\ntrain:\nsplit:\n  by:\n")
    assert load(path) == Experiment(name="x", data={"source": "t.csv", "target": "y"})


def test_overrides_win_over_the_file(file: Path) -> None:
    changed = load(file, ["train.epochs=5", "seed=7", "data.drop=[Comments, Sex]", "network.dropout=0"])
    assert (changed.train.epochs, changed.seed, changed.network.dropout) == (5, 7, 0.0)
    assert changed.data.drop == ("Comments", "Sex")


BAD = [
    ("seed: 0", 'seed: "\\ud83d"', "E102 half a character, such as \\ud83d, is none, {}:2:7; write"),
    ("train:", "train-20:", "E101 unknown key 'train-20', {}:10:1; did you mean 'train'?"),
    ("dropout", "droput", "E101 unknown key 'network.droput', {}:9:40; did you mean 'dropout'?"),
    ("seed: 0", "seeds: 0", "E101 unknown key 'seeds', {}:2:1; did you mean 'seed'?"),
    ("  target: Species\n", "", "E101 key 'data.target' must be given, {}:3:1; the smallest file"),
    ("epochs: 50", "epochs: 0", "E107 train.epochs must be greater than or equal to 1, {}:10:9, found '0';"),
    ("epochs: 50", "epochs: 1.5", "E107 train.epochs must be a valid integer, {}:10:9, found '1.5';"),
    ("seed: 0", "seed: -1", "E108 seed must be greater than or equal to 0, {}:2:1, found '-1';"),
    ("seed: 0", "seed: 18446744073709551616", "E108 seed"),
    ("seed: 0", "seed: zero", "E108 seed must be a valid integer, {}:2:1, found 'zero';"),
    ("batch_size: 32", "batch_size: 0", "E104 train.batch_size must be greater than or equal to 1"),
    ("learning_rate: 1e-3", "learning_rate: -1", "E106 train.learning_rate must be greater than 0"),
    (
        "learning_rate: 1e-3",
        "learning_rate: 1e9",
        "E106 train.learning_rate must be less than or equal to 10",
    ),
    ("learning_rate: 1e-3", "learning_rate: nan", "E106 train.learning_rate must be a finite number"),
    ("test: 0.2", "test: 0", "E092 split.test must be greater than 0"),
    ("test: 0.2", "test: 0.9", "E092 split.test + split.validation must be under 1"),
    ("test: 0.2", "test: .nan", "E092 split.test must be a valid number"),
    ("by: stratified", "by: group", "E092 split.by: group needs split.column"),
    ("by: stratified", "by: stratified, column: x", "E092 split.column goes with"),
    ("by: stratified", "by: strat", "E092 split.by must be 'random', 'stratified'"),
    ("[64, 64]", "[]", "E109 network.hidden"),
    ("[64, 64]", "[64, 0]", "E109 network.hidden.1 must be greater than or equal to 1"),
    ("dropout: 0.1", "dropout: 1", "E109 network.dropout must be less than 1"),
    ("kind: mlp", "kind: mpl", "E109 network.kind"),
    ("[Comments]", "[Species]", "E101 the target 'Species' must not be in data.drop"),
    ("name: penguins", "name: ../up", "E104 name must be 1-200 printable characters without a slash"),
    ("seed: 0", "seed: 0\nseed: 1", "E102 key 'seed' must stand once, {}:3:1; delete one of the two"),
    ("seed: 0", "seed: !!python/object/apply:os.system [ls]", "E102 tags such as"),
    ("seed: 0", "seed: &a 0", "E102 anchors and aliases are not used here"),
    ("seed: 0", "seed: [0", "E102 the file must be YAML"),
    ("  source", "\tsource", "E102 the file must be YAML"),
    (WHOLE, "", "E102 the experiment file must not be empty"),
    (WHOLE, "- a\n- b\n", "E102 the file must hold keys and values"),
    (WHOLE, "? [a, b]\n: c\n", "E102 a key must be a plain word"),
    (WHOLE, "a: " + "[" * 60 + "]" * 60, "E102 keys must not nest this deep"),
]


@pytest.mark.parametrize(("old", "new", "line"), BAD, ids=[line[:40] for _, _, line in BAD])
def test_a_fault_of_the_file_is_one_line_with_its_place(file: Path, old: str, new: str, line: str) -> None:
    assert old in WHOLE
    file.write_text(WHOLE.replace(old, new, 1))
    with pytest.raises(ExperimentError) as caught:
        load(file)
    told = str(caught.value)
    assert told.startswith(line.format(file))
    assert "\n" not in told
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("train.epochz=3", "E101 unknown key 'train.epochz', --set train.epochz; did you mean 'epochs'?"),
        ("train.epochs=x", "E107 train.epochs must be a valid integer, --set train.epochs, found 'x';"),
        ("epochs", "E101 --set takes KEY=VALUE"),
        ("=3", "E101 --set takes KEY=VALUE"),
    ],
)
def test_a_fault_of_an_override_names_the_override(file: Path, override: str, line: str) -> None:
    with pytest.raises(ExperimentError) as caught:
        load(file, [override])
    assert str(caught.value).startswith(line)


def test_a_missing_file_names_the_nearest(file: Path) -> None:
    with pytest.raises(
        ExperimentError, match=r"E001 the experiment file must exist, .*y\.yaml; did you mean 'x\.yaml'\?"
    ):
        load(file.with_name("y.yaml"))
    with pytest.raises(ExperimentError, match="E002"):
        load(file.parent)


def test_bytes_that_are_not_utf8_name_their_offset(file: Path) -> None:
    file.write_bytes(b"name: caf\xe9\n")
    with pytest.raises(ExperimentError, match=r"E102 the experiment file must be UTF-8, .*, byte 9"):
        load(file)


def test_a_huge_file_is_refused_unread(file: Path) -> None:
    file.write_text("#" * 1_000_001)
    with pytest.raises(ExperimentError, match="E102 the experiment file must be under 1,000,000 bytes"):
        load(file)


def test_python_gets_the_same_message_as_the_file() -> None:
    with pytest.raises(ExperimentError, match=r"E107 train\.epochs must be greater than or equal to 1"):
        checked({"name": "x", "data": {"source": "a", "target": "b"}, "train": {"epochs": 0}})


def test_the_digest_follows_every_key_and_nothing_else(file: Path) -> None:
    first = load(file)
    file.write_text("# a comment\n" + WHOLE.replace("1e-3", "0.001"))
    assert load(file).digest() == first.digest()
    for override in ("seed=1", "train.epochs=51", "data.drop=[]", "network.hidden=[64, 65]"):
        assert load(file, [override]).digest() != first.digest()


def test_the_flattened_experiment_is_how_mlflow_names_parameters(file: Path) -> None:
    flat = load(file).flattened()
    assert flat["train.batch_size"] == "32"
    assert flat["network.hidden"] == "[64, 64]"
    assert flat["data.target"] == "Species"
