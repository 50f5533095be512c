"""Leaks: what the train rows give away, as warnings, tags and a file of the encode step."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from etude.outcome import Record, put_files
from etude.store import Store

if TYPE_CHECKING:
    from etude.leaks.finding import Finding
    from etude.leaks.look import Scene


def with_leaks(store: Store, record: Record, scene: Scene) -> Record:
    """The record with every finding: a warning, the tag ``leaks`` (kinds and columns), ``encode/leaks.json``."""
    from etude.leaks.look import find

    findings = find(scene)
    listed = json.dumps([finding.to_json() for finding in findings], ensure_ascii=False, indent=1)
    return replace(
        record,
        metrics={**record.metrics, "encode/leaks": len(findings)},
        tags={**record.tags, **({"leaks": _tag(findings)} if findings else {})},
        files={**record.files, **put_files(store, {"encode/leaks.json": listed.encode()})},
        warnings=(*record.warnings, *(finding.warning for finding in findings)),
    )


def _tag(findings: tuple[Finding, ...]) -> str:
    return "; ".join(
        ": ".join((found.kind, *([", ".join(found.columns)] if found.columns else []))) for found in findings
    )
