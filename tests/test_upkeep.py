"""`etude store`: how large, whether sound, and what nobody needs; a run that goes on meanwhile loses nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from bad_inputs import etude

from etude import upkeep
from etude.journal import Journal
from etude.sealed import sealed, unsealed
from etude.store import Store
from etude.upkeep import Damage, Size, damages, prune, sizes, unneeded

DAY = 86_400.0


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ETUDE_HOME", str(tmp_path / ".etude"))
    return tmp_path / ".etude"


def step(store: Store, key: str, *contents: bytes) -> None:
    """The outcome of a step, with objects of these contents."""
    refs = [store.put(content) for content in contents]
    store.put_outcome(key, {"outputs": [{"sha256": r.sha256, "size": r.size} for r in refs]})


def aged(home: Path, days: float) -> None:
    then = time.time() - days * DAY
    for path in home.rglob("*"):
        os.utime(path, (then, then))


def test_sizes_are_told_by_kind(home: Path) -> None:
    step(Store(home / "store"), "a", b"12345", b"67")
    (home / "checkpoints" / "a").mkdir(parents=True)
    (home / "checkpoints" / "a" / "x").write_bytes(b"123")
    found = sizes(home)
    assert found["objects"] == Size(2, 7)
    assert found["checkpoints"] == Size(1, 3)
    assert found["steps"].files == 1
    told = etude("store")
    assert told.exit_code == 0
    assert "objects            0.00 MB in 2 files" in told.screen


def test_every_bit_of_a_sealed_value_counts() -> None:
    content = sealed({"a": [1, "ü\n"], "b": None})
    assert unsealed(content) == {"a": [1, "ü\n"], "b": None}
    for bit in range(8 * len(content)):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        assert unsealed(bytes(flipped)) is None, (bit, bytes(flipped))


def test_verify_names_what_is_damaged_and_exits_with_7(home: Path) -> None:
    store = Store(home / "store")
    step(store, "good", b"good")
    step(store, "bad", b"bad")
    step(store, "poor", b"poor")
    assert etude("store", "verify").exit_code == 0
    ref = store.put(b"bad")
    store.path(ref).write_bytes(b"bat")
    store.outcome_path("good").write_bytes(b"{}")
    store.path(store.put(b"poor")).unlink()
    told = etude("store", "verify")
    assert told.exit_code == 7
    assert told.screen.splitlines()[-1].endswith("files checked, 3 damaged")
    found = [damage.path for damage in damages(home)]
    assert found == [store.path(ref), store.outcome_path("good"), store.outcome_path("poor")]
    for name in ("good", "bad", "poor"):
        assert store.get_outcome(name) is None, "and nobody uses it"


def test_prune_deletes_what_nobody_used_for_so_long_and_says_so_first(home: Path) -> None:
    store = Store(home / "store")
    step(store, "old", b"old", b"shared")
    store.put(b"of no outcome")
    aged(home, 40)
    step(store, "new", b"new", b"shared")
    told = etude("store", "prune")
    assert told.exit_code == 0
    assert "--yes deletes them" in told.screen
    assert store.outcome_path("old").exists(), "said, not done"
    assert etude("store", "prune", "--yes").exit_code == 0
    assert not store.outcome_path("old").exists()
    assert store.get_outcome("new") is not None
    kept = {path.read_bytes() for path in (store.root / "objects").glob("*/*")}
    assert kept == {b"new", b"shared"}


def test_what_an_old_run_has_still_to_send_is_not_pruned(home: Path) -> None:
    kept, gone = (Store(home / "store").put(content) for content in (b"to be sent", b"sent"))
    for local_id, ref in {"waits": kept, "done": gone}.items():
        journal = Journal(home / "runs" / local_id / "journal")
        journal.append("files", {"of": {"f.txt": {"sha256": ref.sha256, "size": ref.size}}})
        journal.close()
    (home / "runs" / ".unsent").mkdir()
    (home / "runs" / ".unsent" / "waits").touch()
    aged(home, 40)
    assert [path.name for path in unneeded(home, 30).paths] == [gone.sha256]


def test_what_a_run_reuses_counts_as_used(home: Path) -> None:
    store = Store(home / "store")
    step(store, "old", b"old")
    aged(home, 40)
    assert store.get_outcome("old") is not None
    assert unneeded(home, 30).paths == ()


def test_prune_spares_what_a_run_asks_for_between_its_look_and_its_deed(home: Path) -> None:
    store = Store(home / "store")
    step(store, "old", b"old")
    step(store, "older", b"older")
    aged(home, 40)
    found = unneeded(home, 30)
    assert len(found.paths) == 4
    assert store.get_outcome("old") is not None
    prune(home, found)
    assert store.get_outcome("old") is not None
    assert store.get_outcome("older") is None


def test_what_was_written_today_is_kept_whatever_is_asked_for(home: Path) -> None:
    store = Store(home / "store")
    step(store, "now", b"now")
    ref = store.put(b"of an outcome to come")
    prune(home, unneeded(home, 0))
    assert store.get_outcome("now") is not None
    assert store.holds(ref)


def test_checkpoints_of_a_training_that_nobody_took_up_go_too(home: Path) -> None:
    folder = home / "checkpoints" / "key"
    folder.mkdir(parents=True)
    (folder / "1.trace").write_bytes(b"x")
    aged(home, 40)
    prune(home, unneeded(home, 50))
    assert folder.exists()
    prune(home, unneeded(home, 30))
    assert not folder.exists()


WORKER = """
import sys
from pathlib import Path
from etude.seeds import numpy_generator
from etude.store import Ref, Store
store, draw = Store(Path(sys.argv[1])), numpy_generator(int(sys.argv[2]), "worker")
print("ready", flush=True)
for _ in sys.stdin:
    for number in draw.permutation(40)[:20]:
        name = f"step{number}"
        outcome = store.get_outcome(name)
        if outcome is None:
            ref = store.put(name.encode() * 50)
            outcome = {"ref": {"sha256": ref.sha256, "size": ref.size}}
            store.put_outcome(name, outcome)
        assert store.get(Ref(**outcome["ref"])) == name.encode() * 50
    print("done", flush=True)
"""


def test_runs_that_go_on_while_the_store_is_pruned_find_everything_that_they_rely_on(home: Path) -> None:
    """Two processes use half of forty old steps each, while this one deletes whatever of them is not in use."""
    store = home / "store"
    with ExitStack() as stack:
        workers = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", WORKER, str(store), str(i)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for i in range(2)
        ]
        assert [worker.stdout.readline() for worker in workers] == ["ready\n"] * 2
        deleted = 0
        for _ in range(8):
            if store.exists():
                aged(home, 40)
            found = unneeded(home, 30)
            for worker in workers:
                worker.stdin.write("go\n")
                worker.stdin.flush()
            prune(home, found)
            deleted += len(found.paths) - sum(path.exists() for path in found.paths)
            assert [worker.stdout.readline() for worker in workers] == ["done\n"] * 2
        for worker in workers:
            worker.stdin.close()
    assert [worker.returncode for worker in workers] == [0, 0]
    assert deleted > 0
    assert list(damages(home)) == []


def test_a_damage_is_told_with_its_file_as_json(home: Path) -> None:
    store = Store(home / "store")
    store.path(store.put(b"x")).write_bytes(b"y")
    told = etude("store", "verify", "--json")
    assert told.exit_code == 7
    answer = json.loads(told.screen.splitlines()[-1])
    (damage,) = damages(home)
    assert answer["damaged"] == [{"path": str(damage.path), "what": damage.what}]
    assert isinstance(damage, Damage)
    assert upkeep.sizes(home)["objects"].files == 1
