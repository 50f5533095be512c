"""The key of a step: what must change it, and what must not."""

from __future__ import annotations

from pathlib import Path

import pytest

from etude import sources
from etude.experiment import Clean, Data, Network, Split
from etude.identity import code_digest
from etude.steps.clean import Cleaned, clean
from etude.steps.encode import feature_names
from etude.steps.split import split
from etude.store import Ref
from tasks import perform

DATA = Data(source="t.csv", target="y")
CLEANED = Cleaned(Ref("a", 1), Ref("b", 2), "classification", 3)


def key(*inputs: object) -> str:
    return perform.step_key(split, inputs)


def test_equal_inputs_have_one_key() -> None:
    assert key(CLEANED, DATA, Split(), 0) == key(CLEANED, Data(source="t.csv", target="y"), Split(), 0)


def test_every_input_changes_the_key() -> None:
    other_table = Cleaned(Ref("c", 1), Ref("b", 2), "classification", 3)
    keys = [
        key(CLEANED, DATA, Split(), 0),
        key(other_table, DATA, Split(), 0),
        key(CLEANED, Data(source="t.csv", target="y", drop=("x",)), Split(), 0),
        key(CLEANED, DATA, Split(test=0.3), 0),
        key(CLEANED, DATA, Split(), 1),
        perform.step_key(clean, (CLEANED, DATA, Clean())),
    ]
    assert len(set(keys)) == len(keys)


def test_packages_and_the_machine_change_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    first = key(CLEANED, DATA, Split(), 0)
    with monkeypatch.context() as changed:
        changed.setattr(perform, "versions", lambda packages: dict.fromkeys(packages, "0"))
        assert key(CLEANED, DATA, Split(), 0) != first
    with monkeypatch.context() as changed:
        changed.setattr(perform, "fingerprint", lambda: {"cpu_capability": "NONE"})
        assert key(CLEANED, DATA, Split(), 0) != first
    assert key(CLEANED, DATA, Split(), 0) == first


def test_the_code_digest_follows_sources_and_templates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = tmp_path / "etude"
    library.mkdir()
    (library / "a.py").write_text("x = 1")
    (library / "page.html").write_text("<p>")
    monkeypatch.setattr(sources, "_folders", lambda root: {"src/etude": library})
    found = [code_digest()]
    for name in ("a.py", "page.html"):
        (library / name).write_text("other")
        found.append(code_digest())
    (library / "a.pyc").write_text("a cache is no source")
    assert len(set(found)) == 3
    assert code_digest() == found[-1]


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        (Split(), ["a", "g"]),
        (Split(by="group", column="g"), ["a"]),
        (Split(by="column", column="g"), ["a"]),
        (Split(by="time", column="g"), ["a", "g"]),
    ],
)
def test_the_columns_that_split_or_were_dropped_are_no_features(settings: Split, names: list[str]) -> None:
    data = Data(source="t.csv", target="y", drop=("d",))
    assert feature_names(["a", "d", "g", "y"], data, settings) == names


def test_network_settings_have_no_part_in_the_keys_of_the_data(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "network" not in " ".join(split.__annotations__)
    assert key(CLEANED, DATA, Split(), 0) != key(CLEANED, DATA, Split(), 0, Network())
