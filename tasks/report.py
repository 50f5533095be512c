"""The run's page for people, ``report.html`` among its artifacts."""

from __future__ import annotations

import json
from collections.abc import Mapping

from etude.files import write_atomically
from etude.outcome import Record
from etude.report.run_report import RunReport, html
from etude.steps.collect import Collected
from etude.steps.encode import Encodings
from etude.steps.split import Parts
from etude.steps.test import Tested
from etude.steps.train import Trained
from etude.steps.validate import Validated
from tasks import recording
from tasks.run import Run

TITLES = {
    "test/confusion_matrix.png": "Confusion matrix",
    "test/curves.png": "ROC, precision-recall and reliability",
    "test/residuals.png": "Residuals",
    "test/slices.png": "Slices",
}


def record_report(
    run: Run,
    collected: Collected,
    parts: Parts,
    encodings: Encodings,
    trained: Trained,
    validated: Validated,
    tested: Tested,
) -> None:
    """Writes the page from what the steps found; it becomes an artifact of the run, and a file that a browser opens."""
    experiment, store = run.experiment, run.store
    figures = {"Learning curve": _curve(run, trained, validated), "What matters": store.get(validated.figure)}
    figures |= {TITLES[path]: store.get(ref) for path, ref in tested.figures.items()}
    metrics = recording.recorded_metrics(run)
    page = html(
        RunReport(
            name=experiment.name,
            run_id=run.run_id,
            target=experiment.data.target,
            verdicts=(validated.verdict, trained.doctor, *tested.verdicts),
            warnings=_looked(metrics),
            facts=_facts(run, collected, parts, encodings, trained, tested, metrics),
            detail=json.loads(store.get(tested.detail)),
            validation=validated.metrics,
            importances=validated.importances,
            figures=figures,
            commands=(f"etude rerun {run.run_id}",),
        )
    )
    recording.record(run, Record(files={"report.html": store.put(page)}))
    write_atomically(run.report, page)


def _curve(run: Run, trained: Trained, validated: Validated) -> bytes:
    from etude.report.figures import learning_curve
    from etude.training.fitting import Epoch

    history = [Epoch(**epoch) for epoch in json.loads(run.store.get(trained.history))]
    onset = validated.verdict.evidence.get("onset_epoch")
    return learning_curve(history, best_epoch=trained.best_epoch, onset=onset)


def _looked(metrics: Mapping[str, float]) -> tuple[str, ...]:
    count = int(metrics.get("test/looks", 1))
    said = f"{count} networks have been tested on these rows: do not choose among them by these scores"
    return (said,) if count > 1 else ()


def _facts(
    run: Run,
    collected: Collected,
    parts: Parts,
    encodings: Encodings,
    trained: Trained,
    tested: Tested,
    metrics: Mapping[str, float],
) -> dict[str, list[tuple[str, str]]]:
    sizes = {name: getattr(parts, name) for name in ("train", "validation", "test")}
    decision = tested.decision
    decided = {
        "temperature": decision.temperature if decision.temperature != 1 else None,
        "threshold": decision.threshold,
        "interval holds": decision.coverage,
    }
    return {
        "Data": [
            ("source", "(private)" if run.experiment.data.private else collected.source),
            ("rows", f"{collected.rows:,}"),
            ("snapshot", collected.snapshot),
        ],
        "Split": [
            ("way", run.experiment.split.way),
            *((f"{name} rows", f"{rows:,}") for name, rows in sizes.items()),
            ("certificate", "split/certificate.json"),
            ("digest", parts.digest),
        ],
        "Network": [
            ("parameters", f"{trained.parameters:,}"),
            ("inputs", f"{encodings.numbers} numbers, {len(encodings.cardinalities)} categories"),
            ("epochs", f"{trained.epochs} ({trained.stopped}), kept {trained.best_epoch}"),
            ("weights", trained.digest),
            *((name, f"{value:.4g}") for name, value in decided.items() if value is not None),
            ("looks at the test rows", f"{int(metrics.get('test/looks', 1))}"),
        ],
    }
