"""Bad inputs 121 and 122: a disk that is full, read-only or out of inodes. Nothing that was whole is lost."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from bad_inputs import etude

from etude import files, upkeep
from etude.errors import DiskFullError, InputError
from etude.experiment import Experiment
from etude.files import disk_fault, write_atomically
from etude.place import check_place
from etude.steps.clean import clean
from etude.steps.collect import collect
from etude.steps.encode import encode
from etude.steps.split import split
from etude.steps.train import train
from etude.store import Store
from etude.training.checkpoint import Checkpoints


@contextmanager
def small_disk(folder: Path, options: str) -> Iterator[Path]:
    """A file system of its own in memory; the test is skipped where nobody may mount one."""
    place = folder / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", options, "none", str(place)]
    if (
        os.getuid() != 0
        or shutil.which("mount") is None
        or subprocess.run(mount, capture_output=True).returncode
    ):
        pytest.skip("only root may mount a small disk, and not in every container")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.mark.parametrize("room", [0, 1, 4, 15])
def test_121_a_write_on_a_full_disk_leaves_what_was_there(tmp_path: Path, room: int) -> None:
    """``room`` pages are left, of the 16 that the write needs."""
    with small_disk(tmp_path, "size=1m") as disk:
        path = disk / "kept"
        write_atomically(path, b"old")
        free = os.statvfs(disk).f_bavail - room
        (disk / "filler").write_bytes(bytes(4096 * free))
        with pytest.raises(DiskFullError, match="E121 a write needs room on the disk") as full:
            write_atomically(path, bytes(4096 * 16))
        assert full.value.exit_code == 5
        assert path.read_bytes() == b"old"
        assert sorted(p.name for p in disk.iterdir()) == ["filler", "kept"], "and no part of the new"
        (disk / "filler").unlink()
        write_atomically(path, bytes(4096 * 16))


class FullAt:
    """The disk is full at the ``number``-th time that something is to reach it."""

    def __init__(self, patch: pytest.MonkeyPatch, number: int) -> None:
        self.left, self.fsync = number, os.fsync
        patch.setattr(files.os, "fsync", self)

    def __call__(self, descriptor: int) -> None:
        self.left -= 1
        if self.left == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.fsync(descriptor)


def test_121_a_disk_that_is_full_at_any_write_of_any_step_loses_nothing(flowers: Path) -> None:
    """Each write of each step fails in turn; what was stored stays sound, and the same step then gives the same."""
    place = flowers.parent
    store = Store(place / ".etude" / "store")
    e = Experiment(
        name="full",
        data={"source": "flowers.csv", "target": "species"},
        network={"kind": "mlp", "hidden": (8,)},
        train={"epochs": 2, "batch_size": 32},
    )
    failed: dict[str, int] = {}

    def step(name: str, function: Callable[..., Any], *inputs: Any, **more: Any) -> Any:
        digests: set[str] = set()
        number = 0
        while True:
            number += 1
            shutil.rmtree(store.root.parent / "checkpoints", ignore_errors=True)
            before = set((store.root / "objects").glob("*/*"))
            with pytest.MonkeyPatch.context() as patch:
                disk = FullAt(patch, number)
                try:
                    outcome = function(store, *inputs, **{k: v() for k, v in more.items()})
                except DiskFullError:
                    failed[name] = failed.get(name, 0) + 1
                    found = set((store.root / "objects").glob("*/*"))
                    assert found >= before
                    assert not [path for path in found if path.match(files.LEFTOVER)]
                    assert list(upkeep.damages(store.root.parent)) == []
                    for path in found - before:
                        path.unlink()  # so that the next write to fail is the next one
                    continue
                assert disk.left > 0, "the fault was raised and swallowed"
                digests.add(outcome.digest)
                assert len(digests) == 1
                return outcome.outputs

    def checkpoints() -> Checkpoints:
        return Checkpoints(store.root.parent / "checkpoints" / "key", epoch_end_seconds=0.0)

    collected = step("collect", collect, e.data, e.split, str(place))
    cleaned = clean(store, collected, e.data, e.clean).outputs
    parts = step("split", split, cleaned, e.data, e.split, e.seed)
    encodings = step("encode", encode, cleaned, parts, e.data, e.split, e.seed)
    step("train", train, encodings, e.network, e.train, e.seed, checkpoints=checkpoints)
    assert min(failed.values()) >= 2, failed
    assert sum(failed.values()) > 25, failed


def test_121_and_122_are_seen_before_anything_begins(tmp_path: Path) -> None:
    with small_disk(tmp_path, "size=1m") as disk:
        with pytest.raises(DiskFullError, match=r"E121 a run needs at least 32 MB on the disk.*1\.0 MB free"):
            check_place(disk / ".etude")
        assert list((disk / ".etude").iterdir()) == []


def test_122_no_inode_is_left(tmp_path: Path) -> None:
    with small_disk(tmp_path, "size=64m,nr_inodes=20") as disk, pytest.raises(InputError) as refused:
        check_place(disk / ".etude")
    assert str(refused.value).startswith("E122 a run needs room for 300 more files")
    with (
        small_disk(tmp_path / "b", "size=64m,nr_inodes=3")
        if (tmp_path / "b").mkdir() is None
        else None as disk
    ):
        (disk / "a").touch()
        (disk / "b").touch()
        with pytest.raises(DiskFullError, match="E121 a write needs room"):
            check_place(disk / ".etude")


def test_122_a_read_only_folder_is_one_line_of_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with small_disk(tmp_path, "size=1m") as disk:
        (disk / "table.csv").write_text("x,y\n" + "1,a\n2,b\n" * 30)
        (disk / "e.yaml").write_text("name: ro\ndata: {source: table.csv, target: y}\n")
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        monkeypatch.setenv("ETUDE_HOME", str(disk / ".etude"))
        monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
        told = etude("run", str(disk / "e.yaml"))
        assert told.exit_code == 2
        assert told.line.startswith("E122 the folder must be writable")
        assert "set ETUDE_HOME" in told.line
        written = etude("init", str(disk / "table.csv"), "--target", "y", "-o", str(disk / "new.yaml"))
        assert written.exit_code == 2
        assert written.line.startswith("E122 the folder must be writable")


@pytest.mark.parametrize(
    ("raised", "code", "exit_code"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/x/y"), "E121", 5),
        (OSError(errno.EDQUOT, "Disk quota exceeded", "/x/y"), "E121", 5),
        (PermissionError(errno.EACCES, "Permission denied", "/x/y"), "E122", 2),
        (OSError(errno.EROFS, "Read-only file system", "/x/y"), "E122", 2),
    ],
)
def test_121_and_122_are_told_also_where_another_library_writes(
    raised: OSError, code: str, exit_code: int
) -> None:
    try:
        try:
            raise raised
        except OSError as error:
            raise RuntimeError("a library wraps it") from error
    except RuntimeError as wrapped:
        fault = disk_fault(wrapped)
    assert fault is not None
    assert (fault.code, fault.exit_code) == (code, exit_code)
    assert "/x/y" in str(fault)
    assert disk_fault(ValueError("another")) is None
    assert disk_fault(FileNotFoundError(errno.ENOENT, "none", "/x")) is None


def test_121_a_database_that_is_full_is_a_full_disk(tmp_path: Path) -> None:
    import sqlite3

    with (
        small_disk(tmp_path, "size=100k") as disk,
        closing(sqlite3.connect(disk / "x.db", isolation_level=None)) as database,
    ):
        database.execute("create table t (x)")
        with pytest.raises(sqlite3.OperationalError) as full:
            database.execute("insert into t values (zeroblob(1000000))")
    fault = disk_fault(full.value)
    assert isinstance(fault, DiskFullError)
