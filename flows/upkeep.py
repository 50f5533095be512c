"""What ``etude store`` does: sizes, verification, pruning. Imported when it runs, never for ``--help``."""

from __future__ import annotations

from typing import Any

from etude import upkeep
from etude.home import home
from flows.terminal import console, safe


def show(*, as_json: bool) -> dict[str, Any]:
    """Files and bytes of ``.etude`` by kind."""
    root, out = home(), console(json=as_json)
    found = upkeep.sizes(root)
    for kind, size in found.items():
        out.print(f"  {kind:<12} {size.bytes / 1e6:10.2f} MB in {size.files:,} files")
    total = sum(size.bytes for size in found.values())
    out.print(
        f"{safe(str(root))}: {total / 1e6:.2f} MB; delete the folder and Etude's own state is gone",
        soft_wrap=True,
    )
    return {"home": str(root), "bytes": {kind: size.bytes for kind, size in found.items()}}


def verify(*, as_json: bool) -> tuple[dict[str, Any], bool]:
    """What is damaged, and whether nothing is."""
    root, out = home(), console(json=as_json)
    found = list(upkeep.damages(root))
    for damage in found:
        out.print(f"[red]damaged[/red] {safe(str(damage.path))}: {safe(damage.what)}", soft_wrap=True)
    checked = sum(size.files for kind, size in upkeep.sizes(root).items() if kind not in ("prefect", "logs"))
    out.print(f"{checked:,} files checked, {len(found):,} damaged")
    listed = [{"path": str(damage.path), "what": damage.what} for damage in found]
    return {"home": str(root), "files": checked, "damaged": listed}, not found


def prune(days: float, *, yes: bool, as_json: bool) -> dict[str, Any]:
    """Deletes what no run of the last ``days`` needs; says only what it would delete unless ``yes``."""
    root, out = home(), console(json=as_json)
    found = upkeep.unneeded(root, days)
    if yes:
        upkeep.prune(root, found)
    for kind, size in found.size.items():
        out.print(f"  {kind:<12} {size.bytes / 1e6:10.2f} MB in {size.files:,} files")
    total = sum(size.bytes for size in found.size.values())
    said = "deleted" if yes else "not needed by a run of that time; --yes deletes them"
    out.print(f"{total / 1e6:.2f} MB of {safe(str(root))} {said} (runs of the last {days:g} days are kept)")
    return {
        "home": str(root),
        "days": days,
        "deleted": yes,
        "paths": [str(path) for path in found.paths],
        "bytes": {kind: size.bytes for kind, size in found.size.items()},
    }
