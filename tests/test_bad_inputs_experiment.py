"""Bad inputs 101-111, 137: what an experiment file gets wrong, through the command, before anything is read or made."""

from __future__ import annotations

from pathlib import Path

import pytest
from bad_inputs import Told, etude, refused, table

from etude.errors import DataError
from etude.experiment import Experiment, Network
from etude.networks.build import check_memory
from etude.networks.sizes import Sizes

START = "name: bad\ndata: {source: table.csv, target: y}\n"


def checked(folder: Path, text: str) -> Told:
    (folder / "table.csv").write_text(table())
    (folder / "e.yaml").write_text(text)
    return etude("check", str(folder / "e.yaml"), "--json")


REFUSED = {
    "101 an unknown section": (START + "trian: {epochs: 3}\n", "E101", "e.yaml:3:1", "did you mean 'train'?"),
    "101 an unknown key": (START + "train: {epoch: 3}\n", "E101", "e.yaml:3:9", "did you mean 'epochs'?"),
    "101 no target": (
        "name: bad\ndata: {source: table.csv}\n",
        "E101",
        "'data.target' must be given",
        "smallest",
    ),
    "102 a key twice": (START + "seed: 1\nseed: 2\n", "E102", "e.yaml:4:1", "delete one of the two"),
    "102 a tab": ("name: bad\ndata:\n\tsource: t.csv\n", "E102", "e.yaml:3:1", "spaces, not tabs"),
    "102 a bomb of anchors": ("a: &a [x, x]\nb: &b [*a, *a]\n", "E102", "e.yaml:1:4", "write the value out"),
    "102 an object": ("name: !!python/object/apply:os.system [id]\n", "E102", "e.yaml:1:7", "plain value"),
    "102 a megabyte": (START + "#" * 1_000_001, "E102", "1,000,000 bytes", "smallest"),
    "102 three thousand brackets": (
        START + "train: " + "[" * 3_000 + "]" * 3_000,
        "E102",
        "e.yaml",
        "smallest",
    ),
    "103 minutes and seconds": (START + "train: {epochs: 1:30}\n", "E107", "found '1:30'", "etude schema"),
    "103 a truth value": (START + "train: {epochs: true}\n", "E107", "found 'true'", "etude schema"),
    "104 no rows": (START + "train: {batch_size: 0}\n", "E104", "e.yaml:3:9, found '0'", "etude schema"),
    "104 negative": (START + "train: {batch_size: -3}\n", "E104", "found '-3'", "etude schema"),
    "104 half a row": (START + "train: {batch_size: 2.5}\n", "E104", "a valid integer", "etude schema"),
    "104 a word": (START + "train: {batch_size: many}\n", "E104", "found 'many'", "etude schema"),
    "106 zero": (START + "train: {learning_rate: 0}\n", "E106", "greater than 0", "etude schema"),
    "106 negative": (START + "train: {learning_rate: -1}\n", "E106", "found '-1'", "etude schema"),
    "106 no number": (START + "train: {learning_rate: .nan}\n", "E106", "found '.nan'", "etude schema"),
    "106 too large": (START + "train: {learning_rate: 1e9}\n", "E106", "found '1e9'", "etude schema"),
    "107 no epoch": (START + "train: {epochs: 0}\n", "E107", "found '0'", "etude schema"),
    "108 negative": (START + "seed: -1\n", "E108", "e.yaml:3:1, found '-1'", "etude schema"),
    "108 beyond 63 bits": (
        START + f"seed: {2**64}\n",
        "E108",
        "less than 9223372036854775808",
        "etude schema",
    ),
    "108 a word": (START + "seed: lucky\n", "E108", "found 'lucky'", "etude schema"),
    "109 all units dropped": (START + "network: {dropout: 1}\n", "E109", "less than 1", "etude schema"),
    "109 no layer": (
        START + "network: {hidden: []}\n",
        "E109",
        "hidden must have at least 1 item,",
        "etude schema",
    ),
    "109 a width of zero": (START + "network: {hidden: [8, 0]}\n", "E109", "e.yaml:3:23", "etude schema"),
    "109 a width of a billion": (
        START + "network: {hidden: [1000000000]}\n",
        "E109",
        "65536",
        "etude schema",
    ),
    "137 a name that climbs": (START.replace("bad", "../bad"), "E104", "found '../bad'", "etude schema"),
    "137 a name of dots": (START.replace("bad", ".."), "E104", "found '..'", "etude schema"),
    "137 a name with a NUL": (START.replace("bad", r'"a\0b"'), "E104", r"found 'a\x00b'", "etude schema"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_the_file_gets_wrong_is_one_line_and_makes_nothing(tmp_path: Path, case: str) -> None:
    text, code, found, mend = REFUSED[case]
    refused(checked(tmp_path, text), code, found, mend)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["e.yaml", "table.csv"]


def test_the_same_file_gets_the_same_line_from_run(tmp_path: Path) -> None:
    """No run is made, so nothing is started."""
    text, code, found, mend = REFUSED["106 negative"]
    line = refused(checked(tmp_path, text), code, found, mend)
    assert refused(etude("run", str(tmp_path / "e.yaml")), code) == line
    assert sorted(p.name for p in tmp_path.iterdir()) == ["e.yaml", "table.csv"]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("train: {learning_rate: 1e-3}", ("train", "learning_rate", 0.001)),
        ("train: {epochs: 010}", ("train", "epochs", 10)),
        ("data: {source: table.csv, target: no}", ("data", "target", "no")),
        ("data: {source: table.csv, target: 010}", ("data", "target", "010")),
    ],
)
def test_103_a_value_has_the_type_of_its_key_whatever_yaml_thinks(
    tmp_path: Path, written: str, read: tuple[str, str, object]
) -> None:
    from etude.experiment_file import load

    start = "name: bad\n" if written.startswith("data") else START
    (tmp_path / "e.yaml").write_text(f"{start}{written}\n")
    section, key, value = read
    found = load(tmp_path / "e.yaml").resolved()[section][key]
    assert (found, type(found)) == (value, type(value))


def test_104_a_batch_of_more_rows_than_there_are_is_one_batch(tmp_path: Path) -> None:
    told = checked(tmp_path, START + "train: {batch_size: 100000}\n")
    assert told.exit_code == 0


@pytest.mark.parametrize(
    ("train", "found"),
    [
        ("optimizer: adamm", "adamw"),
        ("optimizer: LBFGS", "'LBFGS'"),
        ("monitor: validation/acuracy", "validation/accuracy"),
        ("loss: mse", "cross_entropy"),
    ],
)
def test_104_a_setting_that_the_training_would_refuse_is_refused_by_check(
    tmp_path: Path, train: str, found: str
) -> None:
    refused(checked(tmp_path, START + f"train: {{{train}}}\n"), "E104", found)


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_110_a_device_that_is_not_there_is_refused_and_auto_takes_what_is(
    tmp_path: Path, device: str
) -> None:
    import torch

    if getattr(torch.backends, device).is_available() if device == "mps" else torch.cuda.is_available():
        pytest.skip(f"this machine has {device}")
    refused(checked(tmp_path, START + f"train: {{device: {device}}}\n"), "E110", f"'{device}'", "cpu")
    assert checked(tmp_path, START + "train: {device: auto}\n").exit_code == 0


def test_117_a_network_that_memory_cannot_hold_is_refused_before_a_weight_is_made(tmp_path: Path) -> None:
    wide = START + "network: {kind: mlp, hidden: [65536, 65536, 65536, 65536, 65536, 65536, 65536, 65536]}\n"
    line = refused(checked(tmp_path, wide), "E117", "30,0", "network.hidden")
    assert "GiB" in line
    sizes = Sizes(10, (3,), 2, "classification")
    for settings in (
        *(Network(kind=kind, hidden=(64,)) for kind in ("mlp", "tabm", "resnet", "ft_transformer")),
        *(Network(kind="mlp", hidden=(64,), numbers=numbers) for numbers in ("piecewise", "periodic")),
    ):
        check_memory(settings, sizes, free=2**30)
        with pytest.raises(DataError, match=r"E117 .*parameters"):
            check_memory(settings, sizes, free=2**10)


@pytest.mark.parametrize("key", ["source", "test", "expect"])
@pytest.mark.parametrize("path", ["../../../nowhere/table.csv", "/nowhere/../table.csv", "a\0b"])
def test_137_a_path_that_climbs_is_only_ever_read(tmp_path: Path, key: str, path: str) -> None:
    """What is read may stand anywhere; it must exist, and nothing is written beside it."""
    import json

    data = {"source": "table.csv", "target": "y", key: path}
    told = checked(tmp_path, json.dumps({"name": "bad", "data": data}))
    assert told.exit_code == 2
    assert told.line.startswith(("E001", "E102", "E104"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["e.yaml", "table.csv"]


def test_in_python_the_same_is_refused() -> None:
    with pytest.raises(ValueError, match=r"name must be 1-200 printable characters"):
        Experiment(name="a/b", data={"source": "x", "target": "y"})
