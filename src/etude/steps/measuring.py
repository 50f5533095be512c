"""From a network's outputs to metrics in the target's own unit: the same way for validation, test and baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from etude.model import probabilities

if TYPE_CHECKING:
    from etude.encoding.target import Target
    from etude.evaluation.metrics import Metric


@dataclass(frozen=True)
class Measured:
    """``truth`` and ``prediction`` row by row: class codes, or values in the target's unit."""

    truth: NDArray[Any]
    prediction: NDArray[Any]
    metrics: dict[str, Metric]
    score: str


def measured(target: Target, truth: NDArray[Any], outputs: NDArray[np.float32], seed: int) -> Measured:
    """The metrics of float32[n, outputs] against the encoded targets, with intervals."""
    from etude.evaluation.metrics import classification_metrics, regression_metrics, score_name

    if target.task == "classification":
        shares = probabilities(outputs)
        metrics = classification_metrics(truth, shares, seed=seed)
        return Measured(truth, shares.argmax(axis=1), metrics, score_name(target.task))
    actual, predicted = target.restore(truth), target.restore(outputs[:, 0])
    return Measured(
        actual, predicted, regression_metrics(actual, predicted, seed=seed), score_name(target.task)
    )


def baseline(target: Target, train: NDArray[Any], truth: NDArray[Any], seed: int) -> Measured:
    """The same metrics for the majority class (the class shares of train), or for the mean of train."""
    from etude.evaluation.baseline import class_share_baseline, mean_baseline
    from etude.evaluation.metrics import classification_metrics, regression_metrics, score_name

    rows = len(truth)
    if target.task == "classification":
        shares = class_share_baseline(train, len(target.labels), rows)
        metrics = classification_metrics(truth, shares, seed=seed)
        return Measured(truth, shares.argmax(axis=1), metrics, score_name(target.task))
    actual, predicted = target.restore(truth), mean_baseline(target.restore(train), rows)
    return Measured(
        actual, predicted, regression_metrics(actual, predicted, seed=seed), score_name(target.task)
    )


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
    """A warning for each metric that these rows leave undefined."""
    return tuple(
        f"{name} is undefined on the {len(found.truth)} {part} rows: a class, or all variety, is missing there (E115)"
        for name, m in found.metrics.items()
        if m.value is None
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
