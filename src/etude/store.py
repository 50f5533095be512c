"""The content-addressed store: bytes go in, a reference of sha256 and size comes out, every read is verified."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from etude.errors import EtudeError
from etude.files import explained, write_atomically
from etude.sealed import sealed, unsealed


@dataclass(frozen=True)
class Ref:
    """Bytes in the store: small enough to travel between tasks."""

    sha256: str
    size: int


@dataclass(frozen=True)
class Store:
    """``objects/`` holds content under its sha256, ``steps/`` the outcome of a step under the step's key."""

    root: Path

    def put(self, content: bytes) -> Ref:
        """Stored once: content that is there already, intact, is not written again."""
        ref = Ref(hashlib.sha256(content).hexdigest(), len(content))
        with self.locked(fcntl.LOCK_SH):
            if not self.holds(ref):
                write_atomically(self.path(ref), content)
        return ref

    def get(self, ref: Ref) -> bytes:
        """The very bytes that were put. Raises EtudeError (E130) when they are missing or changed."""
        path = self.path(ref)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            raise EtudeError("E130", "the store must hold the object", where=str(path)) from None
        _check(path, hashlib.sha256(content).hexdigest(), ref)
        return content

    def sound_file(self, ref: Ref) -> Path:
        """The object's file, read through once and not kept in memory. Raises as ``get`` does."""
        path = self.path(ref)
        try:
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except FileNotFoundError:
            raise EtudeError("E130", "the store must hold the object", where=str(path)) from None
        _check(path, found, ref)
        return path

    def path(self, ref: Ref) -> Path:
        return self.root / "objects" / ref.sha256[:2] / ref.sha256

    def put_outcome(self, key: str, outcome: dict[str, Any]) -> None:
        """Remembers what a step said under its key, wrapped with the sha256 of itself."""
        write_atomically(self.outcome_path(key), sealed(outcome))

    def get_outcome(self, key: str) -> dict[str, Any] | None:
        """What the step said; None when it never ended, its record is damaged or of another format, or something that
        it refers to is not there as it was. What comes back was used now: ``prune`` spares it.
        """
        with self.locked(fcntl.LOCK_SH):
            try:
                outcome = unsealed(self.outcome_path(key).read_bytes())
            except FileNotFoundError:
                return None
            if not isinstance(outcome, dict) or not all(self.holds(ref) for ref in refs_in(outcome)):
                return None
            _used_now(self.outcome_path(key))
            return outcome

    @contextmanager
    def locked(self, how: int) -> Iterator[None]:
        """Shared by all who look whether something is there and then rely on it, exclusive for who deletes."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            file = os.open(self.root / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise explained(error, self.root) from error
        try:
            fcntl.flock(file, how)
            yield
        finally:
            os.close(file)

    def outcome_path(self, key: str) -> Path:
        return self.root / "steps" / f"{key}.json"

    def holds(self, ref: Ref) -> bool:
        """True when the object is there with its very bytes. What is asked for is used now: ``prune`` spares it."""
        path = self.path(ref)
        if not path.is_file() or path.stat().st_size != ref.size:
            return False
        if hashlib.sha256(path.read_bytes()).hexdigest() != ref.sha256:
            return False
        _used_now(path)
        return True


def refs_in(value: Any) -> Iterator[Ref]:
    """Every reference into the store within a JSON value."""
    if isinstance(value, dict) and value.keys() == {"sha256", "size"}:
        yield Ref(**value)
    elif isinstance(value, dict):
        yield from (ref for item in value.values() for ref in refs_in(item))
    elif isinstance(value, list):
        yield from (ref for item in value for ref in refs_in(item))


def _used_now(path: Path) -> None:
    with suppress(OSError):  # a store that is only read
        os.utime(path)


def _check(path: Path, found: str, ref: Ref) -> None:
    if found != ref.sha256:
        raise EtudeError(
            "E130",
            "a stored object must have the sha256 of its name",
            where=str(path),
            mend="run again: the step that made it runs anew",
        )
