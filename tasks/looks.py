"""How often these test rows were looked at: counted in a file of this folder, told by a metric and a tag of the run."""

from __future__ import annotations

import json
from pathlib import Path

from etude.evaluation.looks import Look, Looks, ledger_path, look, optimism
from etude.outcome import Record
from etude.steps.test import Tested
from etude.steps.train import Trained
from tasks import recording
from tasks.progress import listener
from tasks.run import Run


def count_look(run: Run, trained: Trained, tested: Tested) -> Looks:
    """The looks so far, this one among them; from the second on the terminal says what choosing among them promises."""
    from safetensors.numpy import load

    name, target = run.experiment.name, run.experiment.data.target
    rows = load(run.store.get(tested.rows))["hashes"]
    found = look(
        ledger_path(Path(run.home), name, target), rows, Look(trained.digest, run.run_id, tested.score)
    )
    said = sentence(found, run, tested)
    tags = {"test.looks": str(found.count)} | ({"test.looks.sentence": said} if said else {})
    recording.record(run, Record(metrics={"test/looks": found.count}, tags=tags))
    if said and not found.repeated:
        listener().said(said)
    return found


def sentence(looks: Looks, run: Run, tested: Tested) -> str:
    """What more than one look means for the scores; empty for the first."""
    if looks.count < 2:
        return ""
    detail = json.loads(run.store.get(tested.detail))
    score, metrics = detail["score"], detail["metrics"]
    ends = (metrics.get(f"test/{score}_{end}") for end in ("low", "high"))
    most = optimism(looks.count, *ends)
    promise = (
        "" if most is None else f": the best {score} of {looks.count} promises up to {most:.3f} too much"
    )
    return f"{looks.count} networks have been tested on these rows; do not choose among them by this score{promise}"
