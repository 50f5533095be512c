"""Why two runs differ: what of the data, the code, the packages and the machine is not what it was.

A cause is named with what stands behind it, and the likely ones come first: a stage can only differ by the data, or by
a source that its step imports, or by what lies below the code.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from etude.sources import OWN, FileChange, Sources, changes

if TYPE_CHECKING:
    from etude.table_changes import TableChanges

STEP_OF = {
    "snapshot": "collect",
    "test_snapshot": "collect",
    "clean": "clean",
    "split": "split",
    "encoder": "encode",
    "encoded": "encode",
    "initial_weights": "train",
    "weights": "train",
    "folds": "folds",
    "predictions": "test",
    "metrics": "test",
    "model": "package",
}
"""The step that makes a stage; an epoch's is train."""
NUMERICAL = ("torch", "numpy", "pandas", "pyarrow", "scikit-learn", "scipy", "tabm", "rtdl-")


@dataclass(frozen=True)
class Cause:
    """``kind`` and what changed, in words; ``likely`` when it can reach the stage that differs first."""

    kind: Literal["data", "code", "own network", "package", "python", "threads", "flags", "hardware"]
    text: str
    likely: bool = True

    def __str__(self) -> str:
        return f"{self.kind}: {self.text}"


def causes(
    before: Mapping[str, Any],
    now: Mapping[str, Any],
    *,
    stage: str | None = None,
    sources: tuple[Sources, Sources] | None = None,
    data: TableChanges | None = None,
) -> list[Cause]:
    """What of two identities differs, likely ones first; ``stage`` is the first that differs, ``sources`` those of
    both runs, ``data`` how their tables differ."""
    found: list[Cause] = []
    if data is not None and data.any:
        found.append(Cause("data", str(data)))
    elif stage in ("snapshot", "test_snapshot"):
        found.append(Cause("data", "the source holds another table than it did"))
    found += _code(before, now, stage, sources)
    if before.get("own_network", "") != now.get("own_network", ""):
        found.append(Cause("own network", f"its source changed{_own_files(sources)}"))
    found += _packages(before.get("packages", {}), now.get("packages", {}))
    found += _fingerprint(before.get("fingerprint", {}), now.get("fingerprint", {}))
    found += _settings(before.get("flags"), now.get("flags"))
    found += _named("hardware", "", before.get("hardware"), now.get("hardware"))
    if stage in ("snapshot", "test_snapshot") and found and found[0].kind == "data":
        found = [found[0], *(Cause(c.kind, c.text, likely=False) for c in found[1:])]
    return sorted(found, key=lambda cause: not cause.likely)


def _code(
    before: Mapping[str, Any],
    now: Mapping[str, Any],
    stage: str | None,
    sources: tuple[Sources, Sources] | None,
) -> list[Cause]:
    if before.get("code") == now.get("code"):
        return []
    if sources is None:
        return [Cause("code", "Etude's sources changed; those of the first run were not kept")]
    ours = [change for change in changes(*sources) if not change.name.startswith(OWN)]
    below = standing_below(stage, sources[1]) | standing_below(stage, sources[0])
    return [Cause("code", str(change), likely=_reaches(change, below)) for change in ours]


def _reaches(change: FileChange, below: set[str]) -> bool:
    return not below or change.name in below or change.name.endswith(".html")


def standing_below(stage: str | None, sources: Sources) -> set[str]:
    """The files that the step of ``stage`` imports, directly or not, also inside functions; empty without a stage."""
    if stage is None:
        return set()
    step = STEP_OF.get(stage, "train")
    found: set[str] = set()
    waiting = [f"etude.steps.{step}"]
    while waiting:
        name = waiting.pop()
        stem = "src/" + name.replace(".", "/")
        file = next((f for f in (f"{stem}.py", f"{stem}/__init__.py") if f in sources), None)
        if file is not None and file not in found:
            found.add(file)
            waiting += _imported(sources[file])
    return found


def _imported(source: bytes) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _own_files(sources: tuple[Sources, Sources] | None) -> str:
    if sources is None:
        return ""
    own = [str(c).removeprefix(OWN) for c in changes(*sources) if c.name.startswith(OWN)]
    return f": {'; '.join(own)}" if own else ""


def _packages(before: Mapping[str, str], now: Mapping[str, str]) -> list[Cause]:
    """Those that compute first."""
    found = _named("package", "", before, now)
    return sorted(found, key=lambda cause: not cause.text.startswith(NUMERICAL))


def _fingerprint(before: Mapping[str, str], now: Mapping[str, str]) -> list[Cause]:
    machine = ("machine", "cpu_capability")
    kinds: dict[str, tuple[Literal["python", "package", "hardware"], str]] = {
        name: ("hardware" if name in machine else "package" if name in ("torch", "blas") else "python", name)
        for name in before.keys() | now.keys()
    }
    found = []
    for name in sorted(kinds):
        if before.get(name) != now.get(name):
            kind, said = kinds[name]
            prefix = "" if said == "python" else f"{said} "
            found.append(Cause(kind, f"{prefix}{before.get(name, 'absent')} -> {now.get(name, 'absent')}"))
    return found


def _settings(before: Mapping[str, str] | None, now: Mapping[str, str] | None) -> list[Cause]:
    """Threads and flags; a run of before they were written down has none to compare."""
    if before is None or now is None:
        return []
    rest = [{k: v for k, v in part.items() if k != "threads"} for part in (before, now)]
    found = _named("flags", "", rest[0], rest[1])
    if before.get("threads") != now.get("threads"):
        found.insert(0, Cause("threads", f"{before.get('threads', '?')} -> {now.get('threads', '?')}"))
    return found


def _named(
    kind: Literal["package", "flags", "hardware"],
    prefix: str,
    before: Mapping[str, str] | None,
    now: Mapping[str, str] | None,
) -> list[Cause]:
    if before is None or now is None:
        return []
    return [
        Cause(kind, f"{prefix}{name} {before.get(name, 'absent')} -> {now.get(name, 'absent')}")
        for name in sorted(before.keys() | now.keys())
        if before.get(name) != now.get(name)
    ]
