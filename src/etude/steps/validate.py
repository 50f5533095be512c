"""Validate: what the best weights score on validation, what that decides about answers, and the overfitting verdict."""

from __future__ import annotations

import json
from dataclasses import dataclass

from etude.evaluation.decision import Decision
from etude.evaluation.importance import Importance
from etude.experiment import Evaluate, Network, Train
from etude.outcome import Outcome, Record, put_files
from etude.steps.deciding import decided
from etude.steps.encode import Encodings
from etude.steps.mattering import mattering
from etude.steps.measuring import as_text, groups_of, measured, named, too_few_groups, undefined
from etude.steps.train import Trained, chosen, part, trained_network
from etude.store import Ref, Store
from etude.verdicts import Verdict

DEFAULTS = Evaluate()


@dataclass(frozen=True)
class Validated:
    """The best weights' outputs on validation (safetensors), what they decided, and the overfitting verdict."""

    outputs: Ref
    score: float | None
    verdict: Verdict
    decision: Decision
    importances: tuple[Importance, ...]
    metrics: dict[str, float]
    figure: Ref


def validate(
    store: Store,
    encodings: Encodings,
    trained: Trained,
    network: Network,
    settings: Train,
    seed: int,
    evaluate: Evaluate = DEFAULTS,
    private: bool = False,
) -> Outcome[Validated]:
    """Metrics of the best weights on validation with intervals, and the overfitting verdict.

    Temperature, threshold and prediction intervals are decided here, on validation rows alone.
    """
    from safetensors.numpy import save

    from etude.encoding.encoder import Encoder
    from etude.evaluation import overfitting
    from etude.report.test_figures import importance
    from etude.training import inference
    from etude.training.fitting import Epoch

    rows = part(store, encodings.validation)
    groups = groups_of(store, encodings.validation)
    model = trained_network(store, encodings, trained, network, settings, seed)
    with inference.exact(settings.threads):
        outputs = inference.predict(model, rows.numbers, rows.categories).numpy()
    encoder = Encoder.from_bytes(store.get(encodings.encoder))
    target = encoder.target
    truth = rows.target.numpy()
    decision, said, warned = decided(evaluate, target.task, outputs, truth, groups)
    found = measured(target, truth, outputs, seed, decision, groups, trained.quantiles, private=private)
    history = [Epoch(**epoch) for epoch in json.loads(store.get(trained.history))]
    choice = chosen(encodings, network, settings)
    verdict = overfitting.judge(history, trained.best_epoch, len(rows.target), choice.network, choice.train)
    with inference.exact(settings.threads):
        matter = mattering(
            encoder,
            model,
            rows,
            decision,
            groups,
            seed=seed,
            trained_rows=trained.epochs * encodings.train_rows,
        )
    metrics = named("validation/best_", found) | _in_numbers(decision, target.scale)
    unit = "squared error, in variances," if target.task == "regression" else "log loss"
    told = json.dumps([i.as_json() for i in matter], ensure_ascii=False, indent=1).encode()
    files = put_files(
        store, {"validate/importance.json": told, "validate/importance.png": importance(matter, unit)}
    )
    validated = Validated(
        outputs=store.put(save({"outputs": outputs})),
        score=found.metrics[found.score].value,
        verdict=verdict,
        decision=decision,
        importances=matter,
        metrics=metrics,
        figure=files["validate/importance.png"],
    )
    record = Record(
        metrics=metrics | _as_metrics(verdict),
        files=files,
        tags={"verdict.overfitting": verdict.verdict, "verdict.overfitting.sentence": verdict.sentence},
        summary=". ".join((f"{found.score} {as_text(found.metrics[found.score])}", *said, verdict.sentence)),
        warnings=warned + undefined(found, "validation") + too_few_groups(groups, "validation"),
        verdicts=(verdict,),
    )
    return Outcome(validated, record, validated.outputs.sha256)


def _in_numbers(decision: Decision, unit: float) -> dict[str, float]:
    """What was decided, as metrics; the interval's half width in the target's unit."""
    found = {
        "validate/temperature": decision.temperature if decision.temperature != 1 else None,
        "validate/threshold": decision.threshold,
        "validate/interval_half_width": None if decision.half_width is None else decision.half_width * unit,
    }
    return {name: value for name, value in found.items() if value is not None}


def _as_metrics(verdict: Verdict) -> dict[str, float]:
    """The verdict's numbers, each with half the width of its 95 % interval; those that are undefined are left out."""
    names = {
        "validation/gap": "gap",
        "validation/gap_error": "gap_error",
        "validation/cost_of_last_epoch": "score_cost_of_last_epoch",
        "validation/cost_of_last_epoch_error": "cost_error",
        "validation/overfitting_since_epoch": "onset_epoch",
    }
    found = {name: verdict.evidence.get(key) for name, key in names.items()}
    return {name: float(value) for name, value in found.items() if value is not None}
