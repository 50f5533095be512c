"""Why two runs differ: each thing that can change is changed alone, and is what is named."""

from __future__ import annotations

from typing import Any

import pytest

from etude import sources
from etude.causes import causes, standing_below
from etude.identity import identity

NOW = identity(threads=1, seed=0)
OURS = sources.installed()
NUMBERS = "src/etude/encoding/numbers.py"


def named(before: dict[str, Any], now: dict[str, Any], **known: Any) -> list[str]:
    return [str(cause) for cause in causes(before, now, **known) if cause.likely]


def changed(part: str, name: str, value: str) -> dict[str, Any]:
    return {**NOW, part: {**NOW[part], name: value}}


def edited(name: str) -> dict[str, bytes]:
    lines = OURS[name].splitlines(keepends=True)
    return {**OURS, name: b"".join([*lines[:5], b"x = 1\n", *lines[6:]])}


def test_the_same_identity_has_no_cause() -> None:
    assert causes(NOW, NOW) == []


@pytest.mark.parametrize(
    ("part", "name", "cause"),
    [
        ("packages", "numpy", f"package: numpy {NOW['packages']['numpy']} -> 0.1"),
        ("fingerprint", "python", f"python: {NOW['fingerprint']['python']} -> 0.1"),
        ("fingerprint", "torch", f"package: torch {NOW['fingerprint']['torch']} -> 0.1"),
        (
            "fingerprint",
            "cpu_capability",
            f"hardware: cpu_capability {NOW['fingerprint']['cpu_capability']} -> 0.1",
        ),
        ("hardware", "processor", f"hardware: processor {NOW['hardware']['processor']} -> 0.1"),
        ("flags", "threads", "threads: 1 -> 0.1"),
        ("flags", "mkldnn", "flags: mkldnn on -> 0.1"),
    ],
)
def test_what_changed_is_named_with_both_values(part: str, name: str, cause: str) -> None:
    assert named(NOW, changed(part, name, "0.1"), stage="epoch 1") == [cause]


def test_locale_time_zone_and_hash_seed_are_noted_and_no_cause() -> None:
    assert {"locale", "time zone", "hash seed"} <= NOW["noted"].keys()
    assert causes(NOW, changed("noted", "time zone", "MARS")) == []


def test_an_edited_helper_is_named_by_its_file_and_lines() -> None:
    now = {**NOW, "code": "other"}
    assert named(NOW, now, stage="encoder", sources=(OURS, edited(NUMBERS))) == [f"code: {NUMBERS}, 1 line"]


def test_code_that_the_stage_does_not_stand_on_comes_last() -> None:
    now = {**NOW, "code": "other"}
    loop = "src/etude/training/loop.py"
    both = {**edited(NUMBERS), loop: edited(loop)[loop]}
    found = causes(NOW, now, stage="encoder", sources=(OURS, both))
    assert [(cause.text, cause.likely) for cause in found] == [
        (f"{NUMBERS}, 1 line", True),
        (f"{loop}, 1 line", False),
    ]


def test_a_step_stands_on_what_it_imports_inside_functions_too() -> None:
    below = standing_below("encoder", OURS)
    assert {"src/etude/steps/encode.py", NUMBERS, "src/etude/seeds.py"} <= below
    assert "src/etude/training/loop.py" not in below
    assert "src/etude/training/loop.py" in standing_below("epoch 7", OURS)
    assert standing_below(None, OURS) == set()


def test_a_table_that_differs_is_the_only_likely_cause() -> None:
    now = {**NOW, "code": "other", "packages": {**NOW["packages"], "numpy": "0.1"}}
    found = causes(NOW, now, stage="snapshot", sources=(OURS, edited(NUMBERS)))
    assert [cause.kind for cause in found if cause.likely] == ["data"]
    assert {cause.kind for cause in found if not cause.likely} == {"code", "package"}


def test_a_run_of_before_the_sources_were_kept_still_says_that_the_code_changed() -> None:
    older = {part: NOW[part] for part in ("packages", "fingerprint")} | {"code": "other"}
    assert named(older, NOW, stage="weights") == [
        "code: Etude's sources changed; those of the first run were not kept"
    ]


def test_the_own_network_of_the_user_is_named_by_its_file() -> None:
    before, now = {**OURS, "own/net.py": b"a\nb\n"}, {**OURS, "own/net.py": b"a\nc\n"}
    told = named(NOW, {**NOW, "own_network": "x"}, stage="initial_weights", sources=(before, now))
    assert told == ["own network: its source changed: net.py, 1 line"]
