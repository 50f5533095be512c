"""A past run, from what MLflow holds of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from etude.errors import InputError
from etude.experiment import Experiment
from etude.home import home
from etude.ladder import Evidence, Rung, judge, ladder
from etude.steps.collect import Snapshot
from etude.steps.official_test import OfficialTest
from etude.store import Store
from etude.verdicts import Verdict
from tasks import tracking
from tasks.result import RunResult

IN_MEMORY = "DataFrame"
STAGE_TAGS = {
    "snapshot": "snapshot.sha256",
    "test_snapshot": "test_snapshot.sha256",
    "split": "split.sha256",
    "encoder": "encoder.sha256",
    "initial_weights": "initial_weights.sha256",
    "weights": "weights.sha256",
    "folds": "folds.sha256",
    "predictions": "predictions.sha256",
}


@dataclass(frozen=True)
class PastRun:
    """The experiment and the snapshot of a run, ready to be run again; of a private table, whose snapshot MLflow
    does not hold, the folder at which its source starts."""

    run_id: str
    experiment: Experiment
    snapshot: Snapshot | None
    task: str
    folder: str


@dataclass(frozen=True)
class Rerun:
    """The new run, the rungs of the ladder and the verdict."""

    rerun_of: str
    result: RunResult
    ladder: tuple[Rung, ...]
    verdict: Verdict

    @property
    def identical(self) -> bool:
        return self.verdict.verdict == "IDENTICAL"

    def as_json(self) -> dict[str, Any]:
        """The object that ``--json`` prints: the new run's, with the verdict ``rerun`` and the ladder."""
        answer = self.result.as_json()
        answer["verdicts"]["rerun"] = self.verdict.as_json()
        rungs = [{"stage": r.stage, "before": r.before, "now": r.now, "same": r.same} for r in self.ladder]
        return answer | {"rerun_of": self.rerun_of, "ladder": rungs}


@task(name="find", cache_policy=NO_CACHE)
def find_run(run_id: str) -> PastRun:
    """Raises InputError E133 when the run does not exist, is not Etude's, did not end or has no snapshot."""
    tags = tracking.tags_of(run_id)
    if tags.get("etude") != "run" or "predictions.sha256" not in tags:
        raise InputError(
            "E133", "the run must be a finished run of Etude", value=run_id, mend="`etude ui` shows the runs"
        )
    experiment = Experiment.model_validate_json(tracking.artifact(run_id, "experiment.json"))
    snapshot = None if experiment.data.private else _snapshot(run_id, tags)
    if snapshot is None and IN_MEMORY in (tags["source"], tags.get("test_source")):
        raise InputError(
            "E133",
            "a rerun needs the table, which MLflow does not hold since data.private is true",
            where=f"run {run_id}",
            mend="its table was a DataFrame: call train(experiment, data=frame) with it",
        )
    return PastRun(run_id, experiment, snapshot, tags["task"], tags.get("folder", "."))


def _snapshot(run_id: str, tags: dict[str, str]) -> Snapshot:
    store = Store(Path(home()) / "store")
    return Snapshot(
        table=store.put(tracking.artifact(run_id, "collect/snapshot.arrow")),
        schema=store.put(tracking.artifact(run_id, "collect/schema.json")),
        parsing=store.put(tracking.artifact(run_id, "collect/parsing.json")),
        digest=tags["snapshot.sha256"],
        source=tags["source"],
        test=_official_test(store, run_id, tags),
    )


def _official_test(store: Store, run_id: str, tags: dict[str, str]) -> OfficialTest | None:
    if "test_snapshot.sha256" not in tags:
        return None
    from etude import snapshot

    content = tracking.artifact(run_id, "collect/test_snapshot.arrow")
    return OfficialTest(
        table=store.put(content),
        parsing=store.put(tracking.artifact(run_id, "collect/test_parsing.json")),
        digest=tags["test_snapshot.sha256"],
        source=tags["test_source"],
        rows=snapshot.from_bytes(content).num_rows,
    )


@task(name="judge", cache_policy=NO_CACHE)
def judge_rerun(past: PastRun, result: RunResult) -> Rerun:
    """The verdict, written back as tags on both runs and as an artifact of the new one."""
    before, now = _evidence(past.run_id), _evidence(result.run_id)
    causes = _causes(past.run_id, result.run_id)
    verdict = judge(before, now, causes, past.task)
    rerun = Rerun(past.run_id, result, ladder(before, now), verdict)
    told = {"verdict.rerun": verdict.verdict, "verdict.rerun.sentence": verdict.sentence}
    tracking.log_tags_to(result.run_id, {**told, "rerun_of": past.run_id})
    tracking.log_tags_to(past.run_id, {**told, "rerun_by": result.run_id})
    tracking.log_file_to(
        result.run_id, "rerun/ladder.json", json.dumps(rerun.as_json()["ladder"], indent=1).encode()
    )
    return rerun


def _evidence(run_id: str) -> Evidence:
    from safetensors.numpy import load

    tags = tracking.tags_of(run_id)
    history = json.loads(tracking.artifact(run_id, "train/history.json"))
    detail = json.loads(tracking.artifact(run_id, "test/metrics.json"))
    return Evidence(
        digests={stage: tags[tag] for stage, tag in STAGE_TAGS.items() if tag in tags},
        losses=[(epoch["train_loss"], epoch["validation_loss"]) for epoch in history],
        metrics=detail["metrics"],
        outputs=load(tracking.artifact(run_id, "test/outputs.safetensors"))["outputs"],
    )


def _causes(before: str, now: str) -> list[str]:
    from etude.identity import differences

    return differences(
        json.loads(tracking.artifact(before, "identity.json")),
        json.loads(tracking.artifact(now, "identity.json")),
    )
