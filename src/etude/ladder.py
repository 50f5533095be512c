"""The rerun verdict: two runs compared stage by stage, from the snapshot to the metrics."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from etude.causes import Cause
from etude.verdicts import Verdict

RELATIVE_TOLERANCE, METRIC_TOLERANCE = 1e-5, 1e-3
SOMETIMES = {"test_snapshot", "folds"}
"""Stages that only some runs have."""
SINCE = {"clean", "encoded", "model"}
"""Stages whose digest older runs did not write down: left out where one of the two lacks it."""
SHOWN_CAUSES = 5
STAGE_TAGS = {
    "snapshot": "snapshot.sha256",
    "test_snapshot": "test_snapshot.sha256",
    "clean": "clean.sha256",
    "split": "split.sha256",
    "encoder": "encoder.sha256",
    "encoded": "encoded.sha256",
    "initial_weights": "initial_weights.sha256",
    "weights": "weights.sha256",
    "folds": "folds.sha256",
    "predictions": "predictions.sha256",
    "model": "model.sha256",
}
"""Under which tag of a run each stage's digest stands."""
HISTORY, METRICS, OUTPUTS = "train/history.json", "test/metrics.json", "test/outputs.safetensors"


@dataclass(frozen=True)
class Rung:
    """A stage with what each run has there: a digest, or the exact bits of an epoch's losses."""

    stage: str
    before: str
    now: str

    @property
    def same(self) -> bool:
        return self.before == self.now

    def as_json(self) -> dict[str, Any]:
        return {"stage": self.stage, "before": self.before, "now": self.now, "same": self.same}


@dataclass(frozen=True)
class Evidence:
    """What a run left behind: ``digests`` by stage in order, losses per epoch, metrics, the outputs on test rows."""

    digests: Mapping[str, str]
    losses: Sequence[tuple[float, float]]
    metrics: Mapping[str, float]
    outputs: np.ndarray[Any, np.dtype[np.float32]]


def evidence_from(tags: Mapping[str, str], file: Callable[[str], bytes]) -> Evidence:
    """The evidence of a run, from its tags and three of its files."""
    from safetensors.numpy import load

    return Evidence(
        digests={stage: tags[tag] for stage, tag in STAGE_TAGS.items() if tag in tags},
        losses=[(epoch["train_loss"], epoch["validation_loss"]) for epoch in json.loads(file(HISTORY))],
        metrics=json.loads(file(METRICS))["metrics"],
        outputs=load(file(OUTPUTS))["outputs"],
    )


def ladder(before: Evidence, now: Evidence) -> tuple[Rung, ...]:
    """Snapshot, clean, split, encoder, encoded rows, first weights, every epoch's losses as float64 bits, weights,
    predictions, the packed model, metrics; the official test table and the folds when one of the runs has them.
    """
    first = ("snapshot", "test_snapshot", "clean", "split", "encoder", "encoded", "initial_weights")
    rungs = _rungs(first, before, now)
    epochs = range(max(len(before.losses), len(now.losses)))
    rungs += [Rung(f"epoch {i + 1}", _bits(before.losses, i), _bits(now.losses, i)) for i in epochs]
    rungs += _rungs(("weights", "folds", "predictions", "model"), before, now)
    rungs.append(Rung("metrics", _metric_bits(before.metrics), _metric_bits(now.metrics)))
    return tuple(rungs)


def first_difference(before: Evidence, now: Evidence) -> str | None:
    """The first stage of the ladder that differs."""
    return next((rung.stage for rung in ladder(before, now) if not rung.same), None)


def folded(rungs: Sequence[Rung]) -> list[Rung]:
    """The rungs for a reader: epochs in a row that all agree, or all differ, become one with the first one's bits."""
    shown: list[Rung] = []
    for rung in rungs:
        last = shown[-1] if shown else None
        epochs = last is not None and last.stage.startswith("epoch") and rung.stage.startswith("epoch")
        if last is not None and epochs and last.same == rung.same:
            first = last.stage.removeprefix("epochs ").removeprefix("epoch ").partition("-")[0]
            shown[-1] = Rung(f"epochs {first}-{rung.stage.removeprefix('epoch ')}", last.before, last.now)
        else:
            shown.append(rung)
    return shown


def judge(before: Evidence, now: Evidence, causes: Sequence[Cause], task: str) -> Verdict:
    """IDENTICAL, WITHIN TOLERANCE (the same predicted labels, every loss within 1e-5 relative) or DIFFERENT. Of the
    ``causes`` the sentence names the likely ones."""
    rungs = ladder(before, now)
    differing = [rung.stage for rung in rungs if not rung.same]
    evidence = {
        "first_difference": differing[0] if differing else None,
        "stages": len(rungs),
        "causes": [{"kind": c.kind, "what": c.text, "likely": c.likely} for c in causes],
    }
    if not differing:
        drift = f", although this changed: {_listed(causes)}" if causes else ""
        return Verdict("rerun", "IDENTICAL", f"All {len(rungs)} stages have the same bits{drift}.", evidence)
    likely = [cause for cause in causes if cause.likely] or list(causes)
    why = f"Likely cause: {_listed(likely)}." if likely else "Nothing that is recorded explains it."
    if _close(before, now, task):
        return Verdict(
            "rerun",
            "WITHIN TOLERANCE",
            f"The bits differ first at {differing[0]}, every loss is within {RELATIVE_TOLERANCE:g} "
            f"and every prediction says the same. {why}",
            evidence,
        )
    return Verdict("rerun", "DIFFERENT", f"The first stage that differs is {differing[0]}. {why}", evidence)


def _rungs(stages: Sequence[str], before: Evidence, now: Evidence) -> list[Rung]:
    either, both = {*before.digests, *now.digests}, before.digests.keys() & now.digests.keys()
    told = [s for s in stages if (s not in SOMETIMES or s in either) and (s not in SINCE or s in both)]
    return [Rung(s, before.digests.get(s, "unknown"), now.digests.get(s, "unknown")) for s in told]


def _bits(losses: Sequence[tuple[float, float]], i: int) -> str:
    return " ".join(float(loss).hex() for loss in losses[i]) if i < len(losses) else "no such epoch"


def _metric_bits(metrics: Mapping[str, float]) -> str:
    bits = " ".join(f"{name}={float(value).hex()}" for name, value in sorted(metrics.items()))
    return hashlib.sha256(bits.encode()).hexdigest()


def _close(before: Evidence, now: Evidence, task: str) -> bool:
    if len(before.losses) != len(now.losses) or before.outputs.shape != now.outputs.shape:
        return False
    if not np.allclose(before.losses, now.losses, rtol=RELATIVE_TOLERANCE, atol=0):
        return False
    if not _metrics_close(before.metrics, now.metrics, same=np.array_equal(before.outputs, now.outputs)):
        return False
    if task == "classification":
        return bool((before.outputs.argmax(axis=1) == now.outputs.argmax(axis=1)).all())
    return bool(np.allclose(before.outputs, now.outputs, rtol=RELATIVE_TOLERANCE, atol=RELATIVE_TOLERANCE))


def _metrics_close(before: Mapping[str, float], now: Mapping[str, float], *, same: bool) -> bool:
    """Equal outputs allow no other metric; outputs with other last bits move a rank or a logarithm a little."""
    names = before.keys() & now.keys()
    most = 0 if same else METRIC_TOLERANCE
    pairs = [(before[name], now[name]) for name in names]
    return before.keys() == now.keys() and np.allclose(
        [a for a, _ in pairs], [b for _, b in pairs], rtol=most, atol=most, equal_nan=True
    )


def _listed(causes: Sequence[Cause]) -> str:
    more = len(causes) - SHOWN_CAUSES
    return "; ".join(map(str, causes[:SHOWN_CAUSES])) + (f"; and {more} more" if more > 0 else "")
