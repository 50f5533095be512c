"""Test: the test rows are opened here, once, after validation has spoken."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from etude.errors import DataError, shown
from etude.evaluation.decision import Decision
from etude.experiment import Data, Network, Split, Train
from etude.outcome import Outcome, Record, put_files
from etude.private import shown_labels
from etude.steps.clean import Cleaned
from etude.steps.encode import Encodings, arrays
from etude.steps.measuring import (
    Measured,
    as_text,
    baseline,
    groups_of,
    measured,
    methods,
    named,
    too_few_groups,
    undefined,
)
from etude.steps.split import Parts, positions
from etude.steps.train import Trained, part, trained_network
from etude.steps.validate import Validated
from etude.store import Ref, Store

if TYPE_CHECKING:
    from etude.encoding.encoder import Encoder


@dataclass(frozen=True)
class Tested:
    """The outputs on the test rows (safetensors float32[n, outputs]); ``digest`` is their sha256."""

    outputs: Ref
    score: float | None
    baseline: float | None
    digest: str
    decision: Decision


def test(
    store: Store,
    cleaned: Cleaned,
    parts: Parts,
    encodings: Encodings,
    trained: Trained,
    validated: Validated,
    data: Data,
    network: Network,
    settings: Train,
    seed: int,
    split: Split,
) -> Outcome[Tested]:
    """The test metrics with intervals beside the baseline's. ``validated`` comes first and has decided everything;
    where ``split`` is by group, intervals are those of drawing whole groups.
    """
    from safetensors.numpy import save

    from etude import snapshot
    from etude.encoding.encoder import Encoder
    from etude.training import inference

    encoder = Encoder.from_bytes(store.get(encodings.encoder))
    table = snapshot.from_bytes(store.get(cleaned.table)).take(positions(store, parts)["test"])
    known = encoder.target.knows(table.column(data.target))
    if not known.any():
        raise DataError(
            "E086",
            "a test row must have a label that train knows",
            where=f"column {shown(data.target)}",
            value=f"{len(known)} test rows without one",
            mend="split by: stratified keeps every label in train",
        )
    encoded = store.put(arrays(encoder, table.filter(known), split))
    rows, groups = part(store, encoded), groups_of(store, encoded)
    model = trained_network(store, encodings, trained, network, settings, seed)
    with inference.exact(settings.threads):
        outputs = inference.predict(model, rows.numbers, rows.categories).numpy()
    truth = rows.target.numpy()
    decision, private = validated.decision, data.private
    found = measured(
        encoder.target, truth, outputs, seed, decision, groups, trained.quantiles, private=private
    )
    learned = part(store, encodings.train).target.numpy()
    floor = baseline(encoder.target, learned, truth, seed, groups, private=private)
    kept = store.put(save({"outputs": outputs}))
    score, least = (m.metrics[found.score].value for m in (found, floor))
    tested = Tested(kept, score, least, kept.sha256, decision)
    unknown = int((~known).sum())
    warnings = undefined(found, "test") + too_few_groups(groups, "test")
    if unknown:
        warnings += (f"{unknown} test rows have labels that train does not know; they are left out (E086)",)
    record = _record(store, encoder, found, floor, warnings, kept, private=data.private)
    return Outcome(tested, record, tested.digest)


def _record(
    store: Store,
    encoder: Encoder,
    found: Measured,
    floor: Measured,
    warnings: tuple[str, ...],
    outputs: Ref,
    *,
    private: bool,
) -> Record:
    kind = "majority class" if encoder.target.task == "classification" else "mean"
    ours, theirs = found.metrics[found.score], floor.metrics[found.score]
    detail = {
        "rows": len(found.truth),
        "metrics": named("test/", found),
        "intervals": dict(methods(found)),
        "baseline": named("baseline/", floor),
        "baseline_kind": kind,
    }
    picture, figure = _picture(encoder, found, private=private)
    return Record(
        metrics=named("test/", found) | named("baseline/", floor) | {"test/rows": len(found.truth)},
        tags={"predictions.sha256": outputs.sha256, "baseline": kind},
        files={
            "test/outputs.safetensors": outputs,
            **put_files(
                store,
                {f"test/{picture}.png": figure, "test/metrics.json": json.dumps(detail, indent=1).encode()},
            ),
        },
        summary=f"{found.score} {as_text(ours)}; {kind} {as_text(theirs)}",
        warnings=warnings,
    )


def _picture(encoder: Encoder, found: Measured, *, private: bool) -> tuple[str, bytes]:
    """The confusion matrix, or the residuals; of a private table without labels, and not in the target's unit."""
    from etude.evaluation.metrics import confusion_counts
    from etude.report.figures import confusion_matrix, residuals

    if encoder.target.task == "regression":
        mean, scale = (encoder.target.mean, encoder.target.scale) if private else (0.0, 1.0)
        truth, prediction = ((values - mean) / scale for values in (found.truth, found.prediction))
        return "residuals", residuals(truth, prediction)
    labels = shown_labels(encoder.target.labels, private=private)
    return "confusion_matrix", confusion_matrix(
        labels, confusion_counts(found.truth, found.prediction, len(labels))
    )
