"""From a network's outputs to metrics in the target's own unit: the same way for validation, test and baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from etude.evaluation.decision import PLAIN, Decision
from etude.private import shown_labels
from etude.store import Ref, Store

if TYPE_CHECKING:
    from etude.encoding.target import Target
    from etude.evaluation.intervals import Groups
    from etude.evaluation.metrics import Metric

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Measured:
    """``truth`` and ``prediction`` row by row: class codes, or values in the target's unit; ``shares`` the classes'
    probabilities, ``bounds`` the prediction interval."""

    truth: NDArray[Any]
    prediction: NDArray[Any]
    metrics: dict[str, Metric]
    score: str
    shares: Floats | None = None
    bounds: tuple[Floats, Floats] | None = None


def measured(
    target: Target,
    truth: NDArray[Any],
    outputs: NDArray[np.float32],
    seed: int,
    decision: Decision = PLAIN,
    groups: Groups | None = None,
    quantiles: tuple[float, ...] = (),
    *,
    private: bool = False,
) -> Measured:
    """The metrics of float32[n, outputs] against the encoded targets, with intervals (whole ``groups`` are resampled).

    ``quantiles``: what a quantile network's outputs are, in their order.
    """
    if target.task == "classification":
        shares = decision.probabilities(outputs)
        return of_classes(target, truth, shares, decision.labels(shares), seed, groups, private=private)
    bounds = decision.bounds(outputs)
    restored = None if bounds is None else (target.restore(bounds[0]), target.restore(bounds[1]))
    known = {share: target.restore(outputs[:, i]) for i, share in enumerate(quantiles)}
    prediction = target.restore(outputs[:, 0])
    if not known and restored is not None and decision.coverage:
        tail = (1 - decision.coverage) / 2
        known = {tail: restored[0], 0.5: prediction, 1 - tail: restored[1]}
    return of_values(target.restore(truth), prediction, seed, groups, known, restored)


def of_classes(
    target: Target,
    truth: NDArray[np.int64],
    shares: Floats,
    predicted: NDArray[np.int64],
    seed: int | None,
    groups: Groups | None = None,
    *,
    private: bool = False,
) -> Measured:
    """All metrics of class probabilities and the labels chosen by them."""
    from etude.evaluation.all_metrics import all_classification_metrics
    from etude.evaluation.metrics import score_name

    names = shown_labels(target.labels, private=private)
    metrics = all_classification_metrics(truth, shares, predicted, names, seed=seed, groups=groups)
    return Measured(truth, predicted, metrics, score_name(target.task), shares)


def of_values(
    actual: Floats,
    predicted: Floats,
    seed: int | None,
    groups: Groups | None = None,
    quantiles: Mapping[float, Floats] | None = None,
    bounds: tuple[Floats, Floats] | None = None,
) -> Measured:
    """All metrics of predicted numbers, in the target's unit."""
    from etude.evaluation.all_metrics import all_regression_metrics
    from etude.evaluation.metrics import score_name

    metrics = all_regression_metrics(
        actual, predicted, seed=seed, groups=groups, quantiles=quantiles, bounds=bounds
    )
    return Measured(actual, predicted, metrics, score_name("regression"), bounds=bounds)


def baseline(
    target: Target,
    train: NDArray[Any],
    truth: NDArray[Any],
    seed: int,
    groups: Groups | None = None,
    *,
    private: bool = False,
) -> Measured:
    """The same metrics for the majority class (the class shares of train), or for the mean of train."""
    from etude.evaluation.baseline import class_share_baseline, mean_baseline

    rows = len(truth)
    if target.task == "classification":
        shares = class_share_baseline(train, len(target.labels), rows)
        return of_classes(target, truth, shares, shares.argmax(axis=1), seed, groups, private=private)
    return of_values(target.restore(truth), mean_baseline(target.restore(train), rows), seed, groups)


def groups_of(store: Store, ref: Ref) -> Groups | None:
    """Which rows of encoded arrays belong together, where the split is by group."""
    from safetensors.numpy import load

    from etude.evaluation.intervals import Groups

    codes = load(store.get(ref)).get("groups")
    if codes is None:
        return None
    levels, dense = np.unique(codes, return_inverse=True)
    return Groups(dense.astype(np.int64), len(levels))


def too_few_groups(groups: Groups | None, part: str) -> tuple[str, ...]:
    """A warning where so few groups were dealt to the part that no interval can be said."""
    from etude.evaluation.intervals import LEAST_GROUPS

    if groups is None or groups.count >= LEAST_GROUPS:
        return ()
    return (f"the {part} rows are of {groups.count} groups: intervals need at least {LEAST_GROUPS} (E115)",)


def named(prefix: str, found: Measured) -> dict[str, float]:
    """``<prefix>accuracy``, ``<prefix>accuracy_low``, ``<prefix>accuracy_high`` ...; undefined ones are left out."""
    flat: dict[str, float] = {}
    for name, metric in found.metrics.items():
        if metric.value is None:
            continue
        flat[f"{prefix}{name}"] = metric.value
        if metric.interval is not None:
            flat[f"{prefix}{name}_low"] = metric.interval.low
            flat[f"{prefix}{name}_high"] = metric.interval.high
    if f"{prefix}{found.score}" in flat:
        flat[f"{prefix}score"] = flat[f"{prefix}{found.score}"]
    return flat


def undefined(found: Measured, part: str) -> tuple[str, ...]:
    """A warning that names the metrics which these rows leave undefined."""
    names = [name for name, metric in found.metrics.items() if metric.value is None]
    if not names:
        return ()
    verb = "is" if len(names) == 1 else "are"
    return (
        f"{', '.join(names)} {verb} undefined on the {len(found.truth)} {part} rows: a class, or all variety, is "
        "missing there (E115)",
    )


def as_text(metric: Metric) -> str:
    """``0.971 (0.902-0.992)``: the value with its 95 % interval."""
    if metric.value is None:
        return "undefined"
    text = number(metric.value)
    if metric.interval is None:
        return text
    return f"{text} ({number(metric.interval.low)} to {number(metric.interval.high)})"


def number(value: float) -> str:
    """Three decimals near one, fewer for large values."""
    return f"{value:.3f}" if abs(value) < 100 else f"{value:,.0f}"


def methods(found: Measured) -> Mapping[str, str]:
    """Which interval each metric has: wilson, bca or percentile."""
    return {name: m.interval.method for name, m in found.metrics.items() if m.interval is not None}
