"""Checkpoints: the whole state of a training at one step, whole on disk or not there, and read only when sound.

A checkpoint is one safetensors file, ``<step>-<epochs>-<sha256 of its bytes>.safetensors``, with the JSON part
of the state in its header. The two newest are kept, so that a broken one has a predecessor.
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from etude.files import LEFTOVER, write_atomically

if TYPE_CHECKING:
    from torch import Tensor

FORMAT_VERSION = 1
KEPT = 2
FILE_NAME = re.compile(r"\d{12}-\d{6}-[0-9a-f]{64}\.safetensors")


@dataclass(frozen=True)
class State:
    """``values`` are plain JSON; a float comes back with the same bits."""

    tensors: Mapping[str, Tensor]
    values: Mapping[str, Any]


def aloud(message: str) -> None:
    """As a warning, once for each message."""
    warnings.warn(message, RuntimeWarning, stacklevel=3)


def unheard(step: int, epochs: int) -> None:
    """Nobody wants to know."""


@dataclass
class Checkpoints:
    """The checkpoints of one run in a folder of their own, which one process holds at a time.

    ``identity`` is what the caller knows to change bits (code version, fingerprint); the trainer adds its own.
    Due: ``within_epoch_seconds`` after the last one, at an epoch's end after ``epoch_end_seconds``.
    ``say`` hears of each checkpoint that is not used and why, ``on_resumed`` of the step and the epochs that the
    one that is used had behind it.
    """

    folder: Path
    identity: Mapping[str, str] = field(default_factory=dict)
    within_epoch_seconds: float = 10.0
    epoch_end_seconds: float = 2.0
    say: Callable[[str], None] = aloud
    on_resumed: Callable[[int, int], None] = unheard
    _mine: list[Path] = field(default_factory=list, init=False)
    _last: float = field(default_factory=time.monotonic, init=False)

    def due(self, *, epoch_ended: bool) -> bool:
        """The last checkpoint (or the start) is long enough ago."""
        wait = self.epoch_end_seconds if epoch_ended else self.within_epoch_seconds
        return time.monotonic() - self._last >= wait

    @property
    def oldest_step(self) -> int:
        """The step of the oldest checkpoint that is kept; 0 when the training would start from the beginning."""
        return int(self._mine[0].name.partition("-")[0]) if len(self._mine) == KEPT else 0

    def save(self, state: State, *, position: str, identity: Mapping[str, str]) -> None:
        """Writes the state and lets go of all but the two newest; names sort by ``position``.

        Raises as ``write_atomically`` does.
        """
        content = to_bytes(state, {**self.identity, **identity})
        path = self.folder / f"{position}-{hashlib.sha256(content).hexdigest()}.safetensors"
        write_atomically(path, content)
        self._mine = [mine for mine in self._mine if mine != path] + [path]
        for old in self._mine[:-KEPT]:
            old.unlink(missing_ok=True)
        self._mine = self._mine[-KEPT:]
        self._last = time.monotonic()

    def latest(self, identity: Mapping[str, str]) -> State | None:
        """The newest sound checkpoint of this identity; None when there is none.

        A damaged one is removed, one of another training is left where it is; both are said.
        """
        for leftover in self.folder.glob(LEFTOVER):
            leftover.unlink()
        found: State | None = None
        for path in sorted(p for p in self.folder.glob("*") if FILE_NAME.fullmatch(p.name)):
            state = self._read(path, {**self.identity, **identity})
            if state is not None:
                self._mine.append(path)
                found = state
        return found

    def _read(self, path: Path, identity: Mapping[str, str]) -> State | None:
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != path.stem.rpartition("-")[2]:
            path.unlink()
            self.say(f"E130 checkpoint {path.name} is damaged and was removed; an earlier state is used")
            return None
        header = _header(content)
        differing = differences(header.get("identity", {}), identity)
        if header.get("format") != FORMAT_VERSION or differing:
            what = ", ".join(differing) or f"format {header.get('format')}"
            self.say(
                f"E130 checkpoint {path.name} is of another training and is not used; it differs in {what}"
            )
            return None
        return _state(content, header)


def to_bytes(state: State, identity: Mapping[str, str]) -> bytes:
    """A safetensors file with the JSON part of the state under ``etude`` in its metadata."""
    from safetensors.torch import save

    header = {"format": FORMAT_VERSION, "identity": dict(identity), "values": state.values}
    tensors = {name: tensor.detach().clone().contiguous() for name, tensor in state.tensors.items()}
    return bytes(save(tensors, metadata={"etude": json.dumps(header, allow_nan=False)}))


def differences(theirs: Mapping[str, str], ours: Mapping[str, str]) -> list[str]:
    """The names under which two identities say something else."""
    return sorted(name for name in theirs.keys() | ours.keys() if theirs.get(name) != ours.get(name))


def _header(content: bytes) -> dict[str, Any]:
    """What ``to_bytes`` put beside the tensors; nothing for a file that it did not write."""
    try:
        (length,) = struct.unpack("<Q", content[:8])
        header: dict[str, Any] = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["etude"])
    except (struct.error, ValueError, KeyError):
        return {}
    return header


def _state(content: bytes, header: dict[str, Any]) -> State:
    from safetensors.torch import load

    return State(load(content), header["values"])
