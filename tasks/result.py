"""What a flow gives back: the same for the command, the notebook and a scheduled run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import TypeAdapter

from etude.files import write_atomically
from etude.sealed import sealed
from etude.steps.collect import Collected
from etude.steps.encode import Encodings
from etude.steps.gate import Gated
from etude.steps.split import Parts
from etude.steps.test import Tested
from etude.steps.train import Trained
from etude.steps.validate import Validated
from etude.verdicts import Verdict
from tasks import recording
from tasks.mlflow_names import LOSSES_LINK, losses_link, without_secret
from tasks.register import Registered
from tasks.report import record_report
from tasks.run import Run


@dataclass(frozen=True)
class RunResult:
    """``metrics`` by MLflow name, ``seconds`` by task; ``losses_link`` shows both losses in one chart of MLflow.

    ``run_id`` is the local id, and the ids of MLflow are empty, as long as MLflow does not have the run. ``same_as``
    is the finished run that this one would have repeated.
    """

    run_id: str
    experiment_id: str
    tracking_uri: str
    metrics: Mapping[str, float]
    verdicts: Mapping[str, Verdict]
    digests: Mapping[str, str]
    model_uri: str
    losses_link: str
    seconds: Mapping[str, float]
    local_id: str = ""
    same_as: str = ""
    report: str = ""

    def as_json(self) -> dict[str, Any]:
        """The object that ``--json`` prints."""
        return asdict(self) | {"verdicts": {name: v.as_json() for name, v in self.verdicts.items()}}


def result_of(
    run: Run,
    collected: Collected,
    parts: Parts,
    encodings: Encodings,
    trained: Trained,
    validated: Validated,
    tested: Tested,
    registered: Registered,
    gated: Gated | None,
) -> RunResult:
    """All that a training found, with the metrics as MLflow has them; kept for whoever would repeat the run."""
    note = f"{validated.verdict.sentence}\n\n[train and validation loss in one chart]({LOSSES_LINK})"
    recording.record_tags(run, {"link.losses": LOSSES_LINK, "mlflow.note.content": note})
    record_report(run, collected, parts, encodings, trained, validated, tested)
    recording.settle(run)
    metrics, ending = recording.recorded_metrics(run), "/seconds"
    judged = (gated.verdict,) if gated else ()
    result = RunResult(
        run_id=run.run_id,
        experiment_id=run.experiment_id,
        tracking_uri=without_secret(run.tracking_uri),
        metrics=metrics,
        verdicts={v.name: v for v in (validated.verdict, trained.doctor, *tested.verdicts, *judged)},
        digests={
            "snapshot": collected.snapshot,
            **({"test_snapshot": collected.test.digest} if collected.test else {}),
            "split": parts.digest,
            "encoder": encodings.digest,
            "weights": trained.digest,
            "predictions": tested.digest,
            "model": registered.digest,
        },
        model_uri=run.local.model_uri,
        losses_link=losses_link(run.run_id, run.experiment_id, run.tracking_uri),
        seconds={name.removesuffix(ending): v for name, v in metrics.items() if name.endswith(ending)},
        local_id=run.local_id,
        report=str(run.report),
    )
    write_atomically(run.local.result, sealed(TypeAdapter(RunResult).dump_python(result, mode="json")))
    return result
