from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from etude import files
from etude.errors import DiskFullError, EtudeError, InputError
from etude.files import write_atomically
from etude.store import Store


def test_what_is_put_comes_back_and_is_stored_once(store: Store) -> None:
    first, second = store.put(b"abc"), store.put(b"abc")
    assert first == second
    assert store.get(first) == b"abc"
    assert first.size == 3
    assert len(list((store.root / "objects").rglob("*"))) == 2  # the folder and the one object


@pytest.mark.parametrize("bit", [0, 7, 12, 23])
def test_a_flipped_bit_is_seen_before_use(store: Store, bit: int) -> None:
    ref = store.put(b"abc")
    content = bytearray(store.path(ref).read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    store.path(ref).write_bytes(content)
    with pytest.raises(EtudeError, match="E130 a stored object must have the sha256 of its name"):
        store.get(ref)
    assert not store.holds(ref)
    with pytest.raises(EtudeError, match="E130 a stored object must have the sha256 of its name"):
        store.sound_file(ref)
    assert store.get(store.put(b"abc")) == b"abc", "putting it again heals it"


def test_a_missing_object_is_said(store: Store) -> None:
    ref = store.put(b"abc")
    store.path(ref).unlink()
    for read in (store.get, store.sound_file):
        with pytest.raises(EtudeError, match="E130 the store must hold the object"):
            read(ref)


def test_an_outcome_comes_back_only_whole(store: Store) -> None:
    store.put_outcome("key", {"a": 1})
    assert store.get_outcome("key") == {"a": 1}
    assert store.get_outcome("other") is None
    path = store.root / "steps" / "key.json"
    for spoiled in (path.read_bytes().replace(b"1", b"2"), b"{", b"[]", b"null"):
        path.write_bytes(spoiled)
        assert store.get_outcome("key") is None
        store.put_outcome("key", {"a": 1})


def test_an_outcome_whose_object_is_gone_or_damaged_is_no_outcome(store: Store) -> None:
    ref = store.put(b"content")
    store.put_outcome("key", {"outputs": {"sha256": ref.sha256, "size": ref.size}})
    assert store.get_outcome("key") is not None
    store.path(ref).write_bytes(b"contenT")
    assert store.get_outcome("key") is None
    store.path(ref).unlink()
    assert store.get_outcome("key") is None


def test_an_outcome_of_another_format_is_no_outcome(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.put_outcome("key", {"a": 1})
    monkeypatch.setattr("etude.sealed.FORMAT_VERSION", 2)
    assert store.get_outcome("key") is None


def test_a_write_reaches_the_disk_before_the_name_and_the_name_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, done = tmp_path / "file", []
    fsync = os.fsync

    def watched(descriptor: int) -> None:
        kind = "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "content"
        done.append((kind, path.exists()))
        fsync(descriptor)

    monkeypatch.setattr(files.os, "fsync", watched)
    write_atomically(path, b"new")
    assert done == [("content", False), ("folder", True)]


def test_a_write_leaves_the_old_content_or_the_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(DiskFullError, match="E121 a write needs room on the disk"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"], "no temporary file stays"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_named_for_a_user(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(InputError, match="E122 the folder must be writable"):
            write_atomically(tmp_path / "file", b"x")
    finally:
        tmp_path.chmod(0o700)


def test_a_folder_that_refuses_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(files.tempfile, "mkstemp", refuse)
    with pytest.raises(
        InputError, match=r"E122 the folder must be writable, .*found 'Read-only file system'"
    ):
        write_atomically(tmp_path / "file", b"x")
