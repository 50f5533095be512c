"""The verdict on a rerun, with its cause, written back to both runs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from etude import snapshot, sources
from etude.causes import Cause, causes
from etude.ladder import Rung, first_difference, folded, judge, ladder
from etude.table_changes import TableChanges, table_changes
from etude.verdicts import Verdict
from tasks import lookup, tracking
from tasks.past import PastRun, evidence_of, identity_of, sources_of
from tasks.result import RunResult

TABLES = {"snapshot": "collect/snapshot.arrow", "test_snapshot": "collect/test_snapshot.arrow"}
SHOWN_DIFF_CHARACTERS = 20_000


@dataclass(frozen=True)
class Rerun:
    """The new run, the rungs of the ladder, the verdict, what changed in the code as a unified diff."""

    rerun_of: str
    result: RunResult
    ladder: tuple[Rung, ...]
    verdict: Verdict
    code_diff: str = ""
    notes: tuple[str, ...] = ()

    @property
    def identical(self) -> bool:
        return self.verdict.verdict == "IDENTICAL"

    @property
    def same(self) -> bool:
        """Identical, or within the tolerance."""
        return self.verdict.verdict != "DIFFERENT"

    def as_json(self) -> dict[str, Any]:
        """The object that ``--json`` prints: the new run's, with the verdict ``rerun`` and the ladder."""
        answer = self.result.as_json()
        answer["verdicts"]["rerun"] = self.verdict.as_json()
        return answer | {
            "rerun_of": self.rerun_of,
            "ladder": [rung.as_json() for rung in self.ladder],
            "code_diff": self.code_diff,
            "notes": list(self.notes),
        }


@task(name="judge", cache_policy=NO_CACHE)
def judge_rerun(past: PastRun, result: RunResult, notes: tuple[str, ...] = ()) -> Rerun:
    """The verdict, written back as tags on both runs, as artifacts of the new one and as an artifact in Prefect."""
    before, now = evidence_of(past.run_id), evidence_of(result.run_id)
    stage = first_difference(before, now)
    found, diff = _causes(past, result.run_id, stage)
    verdict = judge(before, now, found, past.task)
    rerun = Rerun(past.run_id, result, ladder(before, now), verdict, diff, (*past.notes, *notes))
    told = {"verdict.rerun": verdict.verdict, "verdict.rerun.sentence": verdict.sentence}
    tracking.log_tags_to(result.run_id, {**told, "rerun_of": past.run_id})
    tracking.log_tags_to(past.run_id, {**told, "rerun_by": result.run_id})
    for path, content in _files(rerun).items():
        tracking.log_file_to(result.run_id, path, content)
    _tell_prefect(rerun)
    return rerun


def _files(rerun: Rerun) -> dict[str, bytes]:
    described = {
        "rerun_of": rerun.rerun_of,
        "verdict": rerun.verdict.as_json(),
        "notes": list(rerun.notes),
        "ladder": [rung.as_json() for rung in rerun.ladder],
    }
    files = {
        "rerun/ladder.json": json.dumps(described["ladder"], indent=1).encode(),
        "rerun/verdict.json": json.dumps(described, indent=1, ensure_ascii=False).encode(),
        "rerun/verdict.md": markdown(rerun).encode(),
    }
    return files | ({"rerun/code.diff": rerun.code_diff.encode()} if rerun.code_diff else {})


def markdown(rerun: Rerun) -> str:
    """The verdict as a page: sentence, causes, ladder, and the code that changed."""
    lines = [f"## Rerun: {rerun.verdict.verdict}", "", rerun.verdict.sentence, ""]
    lines += [f"- {c['kind']}: {c['what']}" for c in rerun.verdict.evidence["causes"]]
    lines += [f"- {note}" for note in rerun.notes]
    lines += ["", f"First run `{rerun.rerun_of}`, this run `{rerun.result.run_id}`.", ""]
    lines += ["| stage | first run | this run | |", "|---|---|---|---|"]
    for rung in folded(rerun.ladder):
        mark = "same" if rung.same else "**differs**"
        lines.append(f"| {rung.stage} | `{rung.before[:12]}` | `{rung.now[:12]}` | {mark} |")
    if rerun.code_diff:
        lines += ["", "~~~~diff", rerun.code_diff[:SHOWN_DIFF_CHARACTERS].rstrip("\n"), "~~~~"]
    return "\n".join(lines) + "\n"


def _tell_prefect(rerun: Rerun) -> None:
    """As an artifact of the flow run, where there is one."""
    from prefect.artifacts import create_markdown_artifact
    from prefect.runtime import flow_run

    if flow_run.id:
        create_markdown_artifact(
            markdown(rerun), key=f"rerun-{rerun.rerun_of[:8]}", description=rerun.verdict.verdict
        )


def _causes(past: PastRun, run_id: str, stage: str | None) -> tuple[list[Cause], str]:
    """What changed between the two runs, and the code that did as a diff."""
    now = identity_of(run_id)
    moved = past.identity.get("code") != now["code"] or past.identity.get("own_network") != now["own_network"]
    both = (sources_of(past.run_id), sources_of(run_id)) if moved else (None, None)
    pair = (both[0], both[1]) if both[0] is not None and both[1] is not None else None
    found = causes(past.identity, now, stage=stage, sources=pair, data=_data(past.run_id, run_id, stage))
    return found, sources.unified_diff(*pair) if pair else ""


def _data(before: str, now: str, stage: str | None) -> TableChanges | None:
    """How the tables differ, where a table is the first thing that does and MLflow holds both."""
    path = TABLES.get(stage or "")
    if path is None or not all(lookup.holds_artifact(run_id, path) for run_id in (before, now)):
        return None
    old, new = (snapshot.from_bytes(tracking.artifact(run_id, path)) for run_id in (before, now))
    return table_changes(old, new)
