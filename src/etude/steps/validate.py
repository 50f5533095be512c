"""Validate: what the best weights score on validation, and whether the network learned or memorised."""

from __future__ import annotations

import json
from dataclasses import dataclass

from etude.experiment import Network, Train
from etude.outcome import Outcome, Record
from etude.steps.encode import Encodings
from etude.steps.measuring import as_text, measured, named, undefined
from etude.steps.train import Trained, part, trained_network
from etude.store import Ref, Store
from etude.verdicts import Verdict


@dataclass(frozen=True)
class Validated:
    """The best weights' outputs on validation (safetensors) and the overfitting verdict."""

    outputs: Ref
    score: float | None
    verdict: Verdict


def validate(
    store: Store, encodings: Encodings, trained: Trained, network: Network, settings: Train, seed: int
) -> Outcome[Validated]:
    """Metrics of the best weights on validation with intervals, and the overfitting verdict."""
    from safetensors.numpy import save

    from etude.encoding.encoder import Encoder
    from etude.evaluation import overfitting
    from etude.training import inference
    from etude.training.fitting import Epoch

    rows = part(store, encodings.validation)
    model = trained_network(store, encodings, trained, network, settings, seed)
    with inference.exact(settings.threads):
        outputs = inference.predict(model, rows.numbers, rows.categories).numpy()
    target = Encoder.from_bytes(store.get(encodings.encoder)).target
    found = measured(target, rows.target.numpy(), outputs, seed)
    history = [Epoch(**epoch) for epoch in json.loads(store.get(trained.history))]
    verdict = overfitting.judge(history, trained.best_epoch, len(rows.target))
    validated = Validated(store.put(save({"outputs": outputs})), found.metrics[found.score].value, verdict)
    record = Record(
        metrics=named("validation/best_", found),
        tags={"verdict.overfitting": verdict.verdict, "verdict.overfitting.sentence": verdict.sentence},
        summary=f"{found.score} {as_text(found.metrics[found.score])}. {verdict.sentence}",
        warnings=undefined(found, "validation"),
        verdicts=(verdict,),
    )
    return Outcome(validated, record, validated.outputs.sha256)
