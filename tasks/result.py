"""What a flow gives back: the same for the command, the notebook and a scheduled run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from etude.steps.collect import Collected
from etude.steps.encode import Encodings
from etude.steps.split import Parts
from etude.steps.test import Tested
from etude.steps.train import Trained
from etude.steps.validate import Validated
from etude.verdicts import Verdict
from tasks import tracking
from tasks.mlflow_names import losses_link
from tasks.register import Registered
from tasks.run import Run


@dataclass(frozen=True)
class RunResult:
    """``metrics`` by MLflow name, ``seconds`` by task; ``losses_link`` shows both losses in one chart of MLflow."""

    run_id: str
    experiment_id: str
    tracking_uri: str
    metrics: Mapping[str, float]
    verdicts: Mapping[str, Verdict]
    digests: Mapping[str, str]
    model_uri: str
    losses_link: str
    seconds: Mapping[str, float]

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
) -> RunResult:
    """All that a training found, with the metrics as MLflow has them."""
    metrics = tracking.metrics_of(run.run_id)
    link = losses_link(run.run_id, run.experiment_id, run.tracking_uri)
    note = f"{validated.verdict.sentence}\n\n[train and validation loss in one chart]({link})"
    tracking.log_tags(run, {"link.losses": link, "mlflow.note.content": note})
    ending = "/seconds"
    return RunResult(
        run_id=run.run_id,
        experiment_id=run.experiment_id,
        tracking_uri=run.tracking_uri,
        metrics=metrics,
        verdicts={v.name: v for v in (validated.verdict, trained.doctor)},
        digests={
            "snapshot": collected.snapshot,
            **({"test_snapshot": collected.test.digest} if collected.test else {}),
            "split": parts.digest,
            "encoder": encodings.digest,
            "weights": trained.digest,
            "predictions": tested.digest,
        },
        model_uri=registered.model_uri,
        losses_link=link,
        seconds={name.removesuffix(ending): v for name, v in metrics.items() if name.endswith(ending)},
    )
