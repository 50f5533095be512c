"""The content-addressed store: bytes go in, a reference of sha256 and size comes out, every read is verified."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from etude.errors import EtudeError
from etude.files import write_atomically

FORMAT_VERSION = 1


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
        if hashlib.sha256(content).hexdigest() != ref.sha256:
            raise EtudeError(
                "E130",
                "a stored object must have the sha256 of its name",
                where=str(path),
                mend="run again: the step that made it runs anew",
            )
        return content

    def path(self, ref: Ref) -> Path:
        return self.root / "objects" / ref.sha256[:2] / ref.sha256

    def put_outcome(self, key: str, outcome: dict[str, Any]) -> None:
        """Remembers what a step said under its key, wrapped with the sha256 of itself."""
        body = json.dumps(outcome, sort_keys=True, ensure_ascii=False, allow_nan=False)
        wrapped = {
            "format": FORMAT_VERSION,
            "sha256": hashlib.sha256(body.encode()).hexdigest(),
            "body": body,
        }
        write_atomically(self._outcome_path(key), json.dumps(wrapped, ensure_ascii=False).encode())

    def get_outcome(self, key: str) -> dict[str, Any] | None:
        """What the step said, or None when it never ended, its record is damaged or of another format."""
        try:
            wrapped = json.loads(self._outcome_path(key).read_bytes())
            body = wrapped["body"]
            if (
                wrapped["format"] != FORMAT_VERSION
                or hashlib.sha256(body.encode()).hexdigest() != wrapped["sha256"]
            ):
                return None
            outcome: dict[str, Any] = json.loads(body)
        except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
            return None
        return outcome

    def damaged(self) -> Iterator[Path]:
        """Every object whose bytes no longer have the sha256 of its name."""
        for path in sorted((self.root / "objects").glob("*/*")):
            if hashlib.sha256(path.read_bytes()).hexdigest() != path.name:
                yield path

    def size(self) -> int:
        """Bytes on disk of all that the store holds."""
        return sum(path.stat().st_size for path in self.root.rglob("*") if path.is_file())

    def _outcome_path(self, key: str) -> Path:
        return self.root / "steps" / f"{key}.json"

    def holds(self, ref: Ref) -> bool:
        """True when the object is there with its very bytes."""
        path = self.path(ref)
        if not path.is_file() or path.stat().st_size != ref.size:
            return False
        return hashlib.sha256(path.read_bytes()).hexdigest() == ref.sha256
