"""What validation decides about a network's outputs: temperature, threshold, and how far an interval reaches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from etude.errors import ExperimentError
from etude.evaluation.decision import (
    GOALS,
    LEAST_ROWS,
    PLAIN,
    Decision,
    best_threshold,
    conformal_half_width,
    fitted_temperature,
    softmax,
    temperature_gain,
)
from etude.experiment import Evaluate
from etude.steps.encode import Encodings

if TYPE_CHECKING:
    from etude.evaluation.intervals import Groups


def check_threshold(evaluate: Evaluate, encodings: Encodings) -> None:
    """Raises ExperimentError E104 for a threshold where there are not two classes."""
    if evaluate.threshold is not None and (encodings.task, encodings.outputs) != ("classification", 2):
        found = "numbers" if encodings.task == "regression" else f"{encodings.outputs} classes"
        raise ExperimentError(
            "E104", "evaluate.threshold goes with two classes", value=found, mend="leave it out"
        )


def decided(
    evaluate: Evaluate,
    task: str,
    outputs: NDArray[np.float32],
    target: NDArray[Any],
    groups: Groups | None,
) -> tuple[Decision, tuple[str, ...], tuple[str, ...]]:
    """The decision, what it says of itself, and warnings. A temperature is kept only where it lowers the log loss of
    rows that did not fit it by more than that gain's standard error.
    """
    if task == "regression":
        return _interval(evaluate.coverage, outputs, target)
    temperature, said, warned = 1.0, [], []
    if evaluate.calibrate and len(target) >= LEAST_ROWS:
        gain, error = temperature_gain(outputs, target, None if groups is None else groups.codes)
        if gain > error:
            temperature = fitted_temperature(outputs, target)
            said.append(f"temperature {temperature:.3g} takes {gain:.2g} off the log loss")
    threshold = evaluate.threshold if isinstance(evaluate.threshold, float) else None
    if evaluate.threshold in GOALS:
        if len(target) >= LEAST_ROWS and 0 < target.sum() < len(target):
            shares = softmax(outputs, temperature)[:, 1]
            threshold = best_threshold(shares, target, evaluate.threshold)  # type: ignore[arg-type]
        else:
            least = f"{LEAST_ROWS} validation rows of both classes"
            warned.append(
                f"evaluate.threshold needs {least}, has {len(target)} rows: the threshold stays 0.5 (E115)"
            )
    if threshold is not None:
        chosen = f", best for {evaluate.threshold}" if evaluate.threshold in GOALS else ""
        said.append(f"threshold {threshold:.3g}{chosen}")
    return Decision(temperature, threshold), tuple(said), tuple(warned)


def _interval(
    coverage: float, outputs: NDArray[np.float32], target: NDArray[Any]
) -> tuple[Decision, tuple[str, ...], tuple[str, ...]]:
    half_width = conformal_half_width(outputs, target.astype(np.float64), coverage)
    if half_width is None:
        least = f"{len(target)} validation rows are too few for intervals that hold {coverage:.0%} (E115)"
        return PLAIN, (), (f"{least}: the model gives none",)
    return Decision(coverage=coverage, half_width=half_width), (), ()
