"""The sources that run: every file of etude, tasks and flows, kept with a run and compared with another's."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from etude.networks.own_source import source_files
from etude.zips import unzipped, zipped

OTHERS = ("tasks", "flows")
SUFFIXES = {".py", ".html"}
MOST_BYTES = 50_000_000
OWN = "own/"
"""Where the source of the experiment's own network stands among the others."""

Sources = Mapping[str, bytes]


@dataclass(frozen=True)
class FileChange:
    """A source file of two runs: ``lines`` of it differ, ``how`` is changed, added or removed."""

    name: str
    how: str
    lines: int

    def __str__(self) -> str:
        count = f"{self.lines} line{'' if self.lines == 1 else 's'}"
        return f"{self.name}, {count}{'' if self.how == 'changed' else f' ({self.how})'}"


def installed() -> dict[str, bytes]:
    """Every source by its name in the repository: ``src/etude/seeds.py``, ``tasks/train.py``; a packed model brings
    etude alone."""
    import etude

    found = {}
    for name, folder in _folders(Path(etude.__file__).parent).items():
        for path in sorted(p for p in folder.rglob("*") if p.suffix in SUFFIXES):
            found[f"{name}/{path.relative_to(folder).as_posix()}"] = path.read_bytes()
    return found


def own_network(kind: str) -> dict[str, bytes]:
    """The sources of the user's own network, under ``own/``; nothing for our own kinds."""
    return {f"{OWN}{name}": content for name, content in source_files(kind).items()}


def digest(sources: Sources) -> str:
    """sha256 over names and contents."""
    together = hashlib.sha256()
    for name in sorted(sources):
        together.update(name.encode() + b"\0" + sources[name] + b"\0")
    return together.hexdigest()


def packed(sources: Sources) -> bytes:
    """One zip, a quarter of a megabyte."""
    return zipped(sources)


def unpacked(content: bytes) -> dict[str, bytes]:
    """What ``packed`` took. Raises UnsafeArchiveError."""
    return unzipped(content, MOST_BYTES)


def changes(before: Sources, now: Sources) -> tuple[FileChange, ...]:
    """Every file that differs, with the number of its lines that do."""
    found = []
    for name in sorted(before.keys() | now.keys()):
        old, new = before.get(name), now.get(name)
        if old != new:
            how = "added" if old is None else "removed" if new is None else "changed"
            found.append(FileChange(name, how, _changed_lines(_lines(old), _lines(new))))
    return tuple(found)


def unified_diff(before: Sources, now: Sources) -> str:
    """What ``git diff`` would show, with three lines around each change."""
    pieces: list[str] = []
    for name in sorted(before.keys() | now.keys()):
        old, new = before.get(name), now.get(name)
        if old != new:
            ends = (
                f"a/{name}" if old is not None else "/dev/null",
                f"b/{name}" if new is not None else "/dev/null",
            )
            pieces += difflib.unified_diff(_lines(old), _lines(new), *ends, lineterm="")
    return "".join(f"{line}\n" for line in pieces)


def _lines(content: bytes | None) -> list[str]:
    return (content or b"").decode(errors="replace").splitlines()


def _changed_lines(old: list[str], new: list[str]) -> int:
    """A line that is another now counts once, not as one removed and one added."""
    steps = difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    return sum(max(i2 - i1, j2 - j1) for tag, i1, i2, j1, j2 in steps if tag != "equal")


def _folders(library: Path) -> dict[str, Path]:
    folders = {"src/etude": library}
    for name in OTHERS:
        spec = find_spec(name)
        if spec is not None and spec.origin is not None:
            folders[name] = Path(spec.origin).parent
    return folders
