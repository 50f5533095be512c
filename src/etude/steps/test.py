"""Test: the test rows are opened here, once, after validation has spoken."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from etude.errors import DataError, shown
from etude.evaluation.decision import Decision
from etude.experiment import Data, Network, Split, Train
from etude.outcome import Outcome, Record, put_files
from etude.private import shown_labels
from etude.row_hash import row_hashes
from etude.steps.clean import Cleaned
from etude.steps.comparing import ERROR, Compared, compared
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
from etude.verdicts import Verdict

if TYPE_CHECKING:
    from etude.encoding.encoder import Encoder


@dataclass(frozen=True)
class Tested:
    """The outputs on the test rows (safetensors float32[n, outputs]); ``digest`` is their sha256.

    ``detail`` is what was measured (JSON), ``figures`` PNG files by name, ``rows`` the hashes of the test rows
    (safetensors uint64[n]).
    """

    outputs: Ref
    score: float | None
    baseline: float | None
    digest: str
    decision: Decision
    verdicts: tuple[Verdict, ...]
    detail: Ref
    figures: dict[str, Ref]
    rows: Ref


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
    learned = part(store, encodings.train)
    floor = baseline(encoder.target, learned.target.numpy(), truth, seed, groups, private=private)
    beside = compared(
        store, cleaned, encodings, encoder, table.filter(known), learned, rows, found, groups,
        seed=seed, threads=settings.threads, private=private,
    )  # fmt: skip
    kept = store.put(save({"outputs": outputs}))
    files = put_files(store, _files(encoder, found, floor, beside, private=private))
    tested = Tested(
        outputs=kept,
        score=found.metrics[found.score].value,
        baseline=floor.metrics[found.score].value,
        digest=kept.sha256,
        decision=decision,
        verdicts=beside.verdicts,
        detail=files["test/metrics.json"],
        figures={path: ref for path, ref in files.items() if path.endswith(".png")},
        rows=store.put(save({"hashes": row_hashes(table, table.column_names)})),
    )
    unknown = int((~known).sum())
    warnings = undefined(found, "test") + too_few_groups(groups, "test")
    if unknown:
        warnings += (f"{unknown} test rows have labels that train does not know; they are left out (E086)",)
    files["test/outputs.safetensors"] = kept
    return Outcome(tested, _record(encoder, found, floor, beside, files, warnings, kept), tested.digest)


def _record(
    encoder: Encoder,
    found: Measured,
    floor: Measured,
    beside: Compared,
    files: dict[str, Ref],
    warnings: tuple[str, ...],
    outputs: Ref,
) -> Record:
    kind = _kind(encoder)
    ours, theirs = found.metrics[found.score], floor.metrics[found.score]
    tags = {"predictions.sha256": outputs.sha256, "baseline": kind}
    for verdict in beside.verdicts:
        tags |= {
            f"verdict.{verdict.name}": verdict.verdict,
            f"verdict.{verdict.name}.sentence": verdict.sentence,
        }
    rows = {"test/rows": len(found.truth)}
    return Record(
        metrics=named("test/", found) | named("baseline/", floor) | beside.metrics | rows,
        tags=tags,
        files=files,
        summary=f"{found.score} {as_text(ours)}; {kind} {as_text(theirs)}",
        warnings=warnings,
        verdicts=beside.verdicts,
    )


def _kind(encoder: Encoder) -> str:
    return "majority class" if encoder.target.task == "classification" else "mean"


def _files(
    encoder: Encoder, found: Measured, floor: Measured, beside: Compared, *, private: bool
) -> dict[str, bytes]:
    """What was measured as JSON, and its pictures."""
    detail = {
        "rows": len(found.truth),
        "score": found.score,
        "metrics": named("test/", found),
        "intervals": dict(methods(found)),
        "baseline": named("baseline/", floor),
        "baseline_kind": _kind(encoder),
        "rivals": beside.metrics,
        "gains": [gain.as_json() for gain in beside.gains],
        "slices": [part.as_json() for part in beside.slices],
    }
    text = json.dumps(detail, ensure_ascii=False, indent=1)
    return {"test/metrics.json": text.encode(), **_pictures(encoder, found, beside, private=private)}


def _pictures(encoder: Encoder, found: Measured, beside: Compared, *, private: bool) -> dict[str, bytes]:
    """Of a private table without labels, and not in the target's unit."""
    from etude.evaluation.metrics import confusion_counts
    from etude.report.figures import confusion_matrix, residuals
    from etude.report.test_figures import curves, slice_scores

    pictures = {}
    if encoder.target.task == "regression":
        mean, scale = (encoder.target.mean, encoder.target.scale) if private else (0.0, 1.0)
        truth, prediction = ((values - mean) / scale for values in (found.truth, found.prediction))
        pictures["test/residuals.png"] = residuals(truth, prediction)
        overall, score = float(np.abs(found.truth - found.prediction).mean()), ERROR
    else:
        labels = shown_labels(encoder.target.labels, private=private)
        counts = confusion_counts(found.truth, found.prediction, len(labels))
        pictures["test/confusion_matrix.png"] = confusion_matrix(labels, counts)
        overall, score = float((found.truth == found.prediction).mean()), found.score
        if found.shares is not None:
            pictures["test/curves.png"] = curves(labels, found.truth, found.shares)
    if beside.slices:
        pictures["test/slices.png"] = slice_scores(beside.slices, overall, score)
    return pictures
