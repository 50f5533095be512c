"""Promote: the gate's verdict, and the registry as it says."""

from __future__ import annotations

from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from etude.errors import InputError
from etude.experiment import Experiment
from etude.steps.clean import Cleaned
from etude.steps.gate import PROMOTED, Champion, Gated, gate
from etude.steps.split import Parts
from etude.store import Ref, Store
from tasks import recording, registry, tracking
from tasks.models import find_model_files
from tasks.perform import perform
from tasks.progress import listener
from tasks.recorded import EXPERIMENT
from tasks.register import Registered
from tasks.run import Run

ROWS = "split/rows.safetensors"
ROWS_TAG = "split.rows"


@task(name="promote", cache_policy=NO_CACHE)
def promote_model(run: Run, cleaned: Cleaned, parts: Parts, registered: Registered) -> Gated | None:
    """The verdict of the experiment's gate on what was ``registered``, None without a gate: the model becomes a version
    with the verdict on it, and champion when it is promoted. While MLflow is away nothing is judged, and that is said.
    """
    experiment = run.experiment
    settings = experiment.gate
    if settings is None:
        return None
    recording.settle(run)  # the registry can only hold what MLflow has
    uri = run.local.model_uri
    if not uri:
        listener().said(
            "the gate was not asked: MLflow is away; after `etude sync` there is `etude promote RUN`"
        )
        return None
    model = _registered_name(experiment)
    live = registry.champion_of(model)
    champion = _champion(run.store, live) if live else None
    gated = perform(
        run,
        "promote",
        gate,
        cleaned,
        parts,
        experiment.data.of_table(),
        experiment.split.without_folds(),
        settings,
        experiment.seed,
        find_model_files(uri).files,
        champion,
        reusable=False,
    )
    told = {"verdict.gate": gated.verdict.verdict, "verdict.gate.sentence": gated.verdict.sentence}
    version = registry.version_of_run(model, run.run_id, uri, told)
    if gated.verdict.verdict == PROMOTED:
        registry.crown(version, live)
    recording.record_tags(run, {"model_version": version.uri})
    return gated


def promote_by_hand(run_id: str, model: str | None) -> tuple[registry.Version, registry.Version | None]:
    """The run's model is champion: its version, and the champion before. Raises InputError E133 for no finished run."""
    tags = tracking.tags_of(run_id)
    if tags.get("etude") != "run" or "model_uri" not in tags:
        what = "the run must be a finished run of Etude"
        raise InputError("E133", what, value=run_id, mend="`etude ui` shows the runs")
    experiment = Experiment.model_validate_json(tracking.artifact(run_id, EXPERIMENT))
    name = model or _registered_name(experiment)
    live = registry.champion_of(name)
    told = {"verdict.gate": PROMOTED, "verdict.gate.sentence": "Promoted: by hand."}
    version = registry.version_of_run(name, run_id, tags["model_uri"], told)
    registry.crown(version, live)
    tracking.log_tags_to(run_id, {**told, "model_version": version.uri})
    return version, live


def _registered_name(experiment: Experiment) -> str:
    """The gate's, else the experiment's; a registered model's name has no colon."""
    named = experiment.gate.model if experiment.gate else None
    return named or experiment.name.replace(":", "-")


def _champion(store: Store, live: registry.Version) -> Champion:
    tags: dict[str, Any] = tracking.tags_of(live.run_id)
    experiment = Experiment.model_validate_json(tracking.artifact(live.run_id, EXPERIMENT))
    files = find_model_files(live.uri).files
    name = f"champion {live.model} version {live.version}"
    return Champion(name, files, experiment.data.of_table(), _placed(store, live.run_id, tags))


def _placed(store: Store, run_id: str, tags: dict[str, str]) -> Ref | None:
    """Where the run's rows went: from the store of this folder, else from MLflow, which does not hold private ones."""
    sha256, _, size = tags.get(ROWS_TAG, "").partition(":")
    if not sha256:
        return None
    ref = Ref(sha256, int(size))
    if store.holds(ref):
        return ref
    try:
        return store.put(tracking.artifact(run_id, ROWS))
    except InputError:
        return None
