"""What Etude's own folder holds: how much, whether it is sound, and what of it nobody needs any more."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from etude import journal
from etude.files import LEFTOVER
from etude.sealed import unsealed
from etude.store import Ref, Store, refs_in

KINDS = ("objects", "steps", "checkpoints", "runs", "reports", "prefect", "logs", "other")
OF_NO_VALUE = (".unsent", ".leases")
"""Folders of files whose names alone are relied on."""
GRACE_SECONDS = 86_400.0
"""What was written or asked for this lately may belong to a run that is going on."""


@dataclass(frozen=True)
class Size:
    files: int = 0
    bytes: int = 0

    def __add__(self, other: Size) -> Size:
        return Size(self.files + other.files, self.bytes + other.bytes)


@dataclass(frozen=True)
class Damage:
    """A file that is not as it was written, and what that means."""

    path: Path
    what: str


@dataclass(frozen=True)
class Unneeded:
    """Files and folders that no run of the kept time needs; ``size`` by kind."""

    paths: tuple[Path, ...]
    size: dict[str, Size]


def sizes(home: Path) -> dict[str, Size]:
    """Files and bytes by kind; kinds without a file are left out."""
    found = dict.fromkeys(KINDS, Size())
    for path in _files(home):
        found[_kind(home, path)] += Size(1, path.stat().st_size)
    return {kind: size for kind, size in found.items() if size.files}


def damages(home: Path) -> Iterator[Damage]:
    """Every file of ours with a bit that is not as it was written: all of them have a checksum."""
    store = Store(home / "store")
    for path in sorted((store.root / "objects").glob("*/*")):
        if not _is_leftover(path) and hashlib.sha256(path.read_bytes()).hexdigest() != path.name:
            yield Damage(path, "the object's bytes do not have the sha256 of its name; its step runs anew")
    for path in sorted((store.root / "steps").glob("*.json")):
        outcome = unsealed(path.read_bytes())
        if outcome is None:
            yield Damage(
                path, "the outcome does not have its checksum, or is of another format; its step runs anew"
            )
        elif missing := [ref for ref in refs_in(outcome) if not store.path(ref).is_file()]:
            yield Damage(path, f"{len(missing)} objects of this outcome are gone; its step runs anew")
    for path in sorted((home / "checkpoints").glob("*/*")):
        if not _is_leftover(path) and not _sound_checkpoint(path):
            yield Damage(path, "the checkpoint's file does not have its checksum and will not be used")
    for path in sorted((home / "runs").glob("*/*")):
        if what := _damaged_run_file(path):
            yield Damage(path, what)


def unneeded(home: Path, days: float, now: float | None = None) -> Unneeded:
    """What nobody used in the last ``days``: outcomes of steps, checkpoints, and the objects to which no other
    outcome and no journal of a run refers.
    """
    now = time.time() if now is None else now
    oldest, in_use = now - days * 86_400, now - GRACE_SECONDS
    store = Store(home / "store")
    outcomes = sorted((store.root / "steps").glob("*.json"))
    gone = [path for path in outcomes if path.stat().st_mtime < min(oldest, in_use)]
    needed = {ref.sha256 for path in set(outcomes) - set(gone) for ref in _refs_of(path)}
    for path in (home / "runs").glob("*/journal"):
        if path.stat().st_mtime >= oldest or (home / "runs" / ".unsent" / path.parent.name).exists():
            needed |= {ref.sha256 for ref in _refs_in_journal(path)}
    gone += [
        path
        for path in sorted((store.root / "objects").glob("*/*"))
        if path.name not in needed and path.stat().st_mtime < in_use
    ]
    gone += [
        path for path in sorted((home / "checkpoints").glob("*")) if path.is_dir() and _newest(path) < oldest
    ]
    size = dict.fromkeys(KINDS, Size())
    for path in gone:
        for file in _files(path) if path.is_dir() else [path]:
            size[_kind(home, file)] += Size(1, file.stat().st_size)
    return Unneeded(tuple(gone), {kind: of for kind, of in size.items() if of.files})


def prune(home: Path, found: Unneeded, now: float | None = None) -> None:
    """Deletes them, but for what a run has asked for meanwhile: it and we look and act one after the other."""
    in_use = (time.time() if now is None else now) - GRACE_SECONDS
    store = Store(home / "store")
    for path in found.paths:
        with store.locked(fcntl.LOCK_EX):
            if not path.exists() or _newest(path) >= in_use:
                continue
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def _files(folder: Path) -> Iterator[Path]:
    yield from (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink())


def _newest(path: Path) -> float:
    return max((file.stat().st_mtime for file in [path, *_files(path)]), default=0.0)


def _kind(home: Path, path: Path) -> str:
    parts = path.relative_to(home).parts
    name = parts[1] if parts[0] == "store" and len(parts) > 2 else parts[0]
    return name if name in KINDS and len(parts) > 1 else "other"


def _is_leftover(path: Path) -> bool:
    return path.match(LEFTOVER)


def _refs_of(outcome: Path) -> Iterator[Ref]:
    yield from refs_in(unsealed(outcome.read_bytes()))


def _refs_in_journal(path: Path) -> Iterator[Ref]:
    yield from (ref for entry in journal.entries(path) for ref in refs_in(entry.content))


def _sound_checkpoint(path: Path) -> bool:
    from etude.training.replay import is_sound

    if path.suffix == ".safetensors":
        return hashlib.sha256(path.read_bytes()).hexdigest() == path.stem.rpartition("-")[2]
    if path.suffix == ".trace":
        return is_sound(path)
    return unsealed(path.read_bytes()) is not None


def _damaged_run_file(path: Path) -> str:
    if path.is_dir() or path.parent.name in OF_NO_VALUE or _is_leftover(path):
        return ""
    if path.name != "journal":
        return "" if unsealed(path.read_bytes()) is not None else "the file does not have its checksum"
    wrong = [str(number) for number in journal.damaged(path)]
    return f"lines {', '.join(wrong[:10])} do not have their checksum and are not sent" if wrong else ""
