"""A past run as a proof file: what MLflow holds of it, and the wheel of the code that ran."""

from __future__ import annotations

import json

from etude import proof, sources
from etude.errors import InputError
from etude.experiment import Experiment
from etude.identity import code_digest
from etude.ladder import HISTORY, METRICS, OUTPUTS, STAGE_TAGS, ladder
from etude.wheel import wheel_name, wheel_of
from tasks import lookup, tracking
from tasks.past import evidence_of, identity_of, sources_of
from tasks.recorded import EXPERIMENT, IDENTITY

TAGS = (*STAGE_TAGS.values(), "task", "source", "test_source")


def proof_of(run_id: str) -> bytes:
    """The proof file of a finished run. The table comes with it when MLflow holds it (it is small and not private).

    Raises InputError E133: the run does not exist, is not Etude's or did not end, its sources were not kept.
    """
    tags = tracking.tags_of(run_id)
    if tags.get("etude") != "run" or "predictions.sha256" not in tags:
        raise InputError(
            "E133", "the run must be a finished run of Etude", value=run_id, mend="`etude ui` shows the runs"
        )
    ran = sources_of(run_id)
    identity = identity_of(run_id)
    if ran is None and identity.get("code") == code_digest():
        ran = sources.installed()
    if ran is None:
        what = "a proof needs the sources that ran, which a run of before they were kept does not hold"
        raise InputError("E133", what, value=run_id, mend=f"etude rerun {run_id[:8]}, and prove the rerun")
    experiment = Experiment.model_validate_json(tracking.artifact(run_id, EXPERIMENT))
    wanted = [EXPERIMENT, IDENTITY, HISTORY, METRICS, OUTPUTS]
    if lookup.holds_artifact(run_id, proof.TABLE[0]):
        wanted += [*proof.TABLE, *(proof.TEST_TABLE if "test_snapshot.sha256" in tags else ())]
    wheel = wheel_name()
    members = {path: tracking.artifact(run_id, path) for path in wanted}
    members[wheel] = wheel_of(ran)
    members[proof.PACKAGES] = requirements(identity["packages"]).encode()
    members[proof.LADDER] = _ladder(run_id)
    index = {
        "run_id": run_id,
        "name": experiment.name,
        "tags": {name: tags[name] for name in TAGS if name in tags},
        "location": str(identity.get("folder", "")),
        "wheel": wheel,
    }
    return proof.written(index, members)


def requirements(packages: dict[str, str]) -> str:
    """One ``name==version`` a line, as pip reads it."""
    return "".join(f"{name}=={version}\n" for name, version in sorted(packages.items()))


def _ladder(run_id: str) -> bytes:
    found = evidence_of(run_id)
    stages = [{"stage": rung.stage, "value": rung.before} for rung in ladder(found, found)]
    return json.dumps({"stages": stages, "metrics": dict(found.metrics)}, indent=1).encode()
