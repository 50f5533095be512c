from __future__ import annotations

import json
from dataclasses import dataclass, field

import numpy as np
import pytest

from etude.evaluation.overfitting import judge
from etude.experiment import Network, Train
from etude.verdicts import Verdict


@dataclass(frozen=True)
class Epoch:
    epoch: int
    train_loss: float
    validation_loss: float
    train: dict[str, float | None] = field(default_factory=dict)
    validation: dict[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Measured(Epoch):
    errors: dict[str, float] = field(default_factory=dict)
    constant_loss: float | None = None


def history(train, validation, train_score=None, validation_score=None, *, first: int = 1) -> list[Epoch]:
    """Curves as epochs; scores that are not given follow the losses."""
    train_score = np.exp(-np.asarray(train)) if train_score is None else train_score
    validation_score = np.exp(-np.asarray(validation)) if validation_score is None else validation_score
    rows = zip(train, validation, train_score, validation_score, strict=True)
    return [
        Epoch(first + i, a, b, {"accuracy": c, "roc_auc": 0.9}, {"accuracy": d, "roc_auc": 0.85})
        for i, (a, b, c, d) in enumerate(rows)
    ]


def best(epochs: list[Epoch]) -> int:
    return min(epochs, key=lambda e: e.validation_loss).epoch


def noise(count: int, seed: int = 0) -> np.ndarray:
    return np.random.Generator(np.random.PCG64(seed)).standard_normal(count)


TIME = np.arange(40) / 40
FALLING = 0.2 + 0.5 * np.exp(-8 * TIME)
MEMORISING = 0.5 * np.exp(-5 * TIME)
FALLING_LONG = np.exp(-np.arange(60) / 20)
TURNING = FALLING + 1.2 * np.clip(TIME - 0.3, 0, None)


def judged(epochs: list[Epoch], rows: int = 1_000) -> Verdict:
    return judge(epochs, best(epochs), rows)


def test_losses_that_fall_and_level_out_are_healthy() -> None:
    verdict = judged(history(FALLING - 0.02, FALLING))
    assert verdict.verdict == "healthy"
    assert verdict.evidence["onset_epoch"] is None
    assert verdict.sentence == (
        "Healthy: validation loss fell from 0.7 to 0.2 and ended at 0.2; train accuracy is 0.017 above validation's."
    )


def test_a_turn_of_validation_loss_under_falling_train_loss_is_overfitting_from_there_on() -> None:
    epochs = history(MEMORISING, TURNING, validation_score=0.9 - np.abs(TIME - 12 / 40) / 10)
    verdict = judged(epochs)
    assert verdict.verdict == "overfitting"
    assert verdict.evidence["onset_epoch"] == best(epochs) == 13
    assert verdict.evidence["score_cost_of_last_epoch"] == pytest.approx(0.0675)
    assert verdict.sentence == (
        "Overfitting from epoch 13 on: train loss fell from 0.112 to 0.0049 while validation loss rose from "
        "0.267 to 0.95, a gap of 0.95 ± 0.059. The weights of epoch 13 were kept; the last epoch's would have cost "
        "0.068 ± 0.023 of accuracy. Try network.dropout: 0.3, or more rows."
    )


def test_the_onset_counts_in_the_historys_own_epochs() -> None:
    assert judged(history(MEMORISING, TURNING, first=0)).evidence["onset_epoch"] == 12


@pytest.mark.parametrize("seed", range(20))
def test_noise_moves_the_onset_of_overfitting_by_a_few_epochs_only(seed: int) -> None:
    verdict = judged(history(MEMORISING, TURNING + 0.01 * noise(40, seed)))
    assert verdict.verdict == "overfitting"
    assert abs(verdict.evidence["onset_epoch"] - 13) <= 3


@pytest.mark.parametrize("level", [0.02, 0.1, 0.3])
def test_a_noisy_level_validation_loss_is_not_called_overfitting(level: float) -> None:
    scores = np.full(60, 0.8)
    words = [
        judged(history(0.3 + 0.4 * FALLING_LONG, 0.5 * (1 + level * noise(60, seed)), scores, scores)).verdict
        for seed in range(200)
    ]
    assert words.count("overfitting") <= 4


def test_a_small_rise_on_few_validation_rows_is_not_called_overfitting() -> None:
    slight, scores = FALLING + 0.22 * np.clip(TIME - 0.5, 0, None), np.full(40, 0.8)
    assert judged(history(MEMORISING, slight, scores, scores), rows=10).verdict == "healthy"
    assert judged(history(MEMORISING, slight, scores, scores), rows=100_000).verdict == "overfitting"


def with_errors(epochs: list[Epoch], rise: float, constant: float = 0.7) -> list[Measured]:
    """As a training records them: the standard error of the rise over the rows, and a constant's loss."""
    errors = {"train_loss": 0.01, "validation_loss": 0.02, "rise": rise, "cost": 0.004}
    return [Measured(**vars(e), errors=errors, constant_loss=constant) for e in epochs]


def test_a_rise_counts_by_its_recorded_error_over_the_rows_not_by_their_number() -> None:
    scores = np.full(40, 0.8)
    epochs = history(MEMORISING + 0.1, FALLING + 0.22 * np.clip(TIME - 0.5, 0, None), scores, scores)
    sure, unsure = with_errors(epochs, 0.02), with_errors(epochs, 0.1)
    assert judge(sure, best(sure), 10).verdict == "overfitting"
    assert judge(unsure, best(unsure), 100_000).verdict == "healthy"


def test_a_level_validation_loss_that_learned_a_third_of_what_train_did_is_overfitting() -> None:
    """Train loss falls to 0.2 of a constant's 1.2; validation stays at 1.0 or comes to 0.7."""
    scores = np.full(40, 0.8)
    for level, word in ((1.0, "overfitting"), (0.7, "healthy")):
        epochs = history(0.2 + 0.9 * np.exp(-5 * TIME), level + 0.1 * np.exp(-40 * TIME), scores, scores)
        measured = with_errors(epochs, 0.02, constant=1.2)
        assert judge(measured, best(measured), 1_000).verdict == word


def test_a_network_that_learned_nothing_says_a_constants_loss() -> None:
    measured = with_errors(history(0.7 + 0 * TIME, 0.7 + 0 * TIME), 0.01, constant=0.701)
    verdict = judge(measured, 1, 1_000, Network(kind="linear"))
    assert verdict.verdict == "underfitting"
    assert "a constant's 0.701" in verdict.sentence
    assert verdict.evidence["next"] == {"network.kind": "mlp", "train.learning_rate": 0.01}


def test_what_to_try_starts_from_what_the_training_used() -> None:
    epochs = history(MEMORISING, TURNING)
    network, train = Network(kind="mlp", hidden=(256, 128), dropout=0.2), Train(patience=50)
    verdict = judge(epochs, best(epochs), 1_000, network, train)
    assert verdict.evidence["next"] == {
        "train.patience": 10, "network.dropout": 0.4, "network.hidden": [128, 64],
    }  # fmt: skip
    assert verdict.sentence.endswith(
        "Try train.patience: 10, network.dropout: 0.4, network.hidden: [128, 64], or more rows."
    )
    linear = judge(epochs, best(epochs), 1_000, Network(kind="linear"), Train(weight_decay=0.0))
    assert linear.evidence["next"] == {"train.weight_decay": 0.01}
    for key, value in {**verdict.evidence["next"], **linear.evidence["next"]}.items():
        section, _, name = key.partition(".")
        (Network if section == "network" else Train)(**{name: value})


def test_a_rise_that_is_nothing_beside_what_was_learned_is_not_called_overfitting() -> None:
    """Loss 0.7 down to 0.001 and up to 0.002: twice the lowest, and of no account."""
    almost_zero = 0.001 + 0.7 * np.exp(-40 * TIME) + 0.0015 * np.clip(TIME - 0.4, 0, None)
    assert judged(history(0.9 * np.exp(-40 * TIME), almost_zero)).verdict == "healthy"


def test_level_validation_loss_with_far_apart_scores_and_halving_train_loss_is_overfitting() -> None:
    level = 0.5 + 0.2 * np.exp(-30 * TIME)
    epochs = history(MEMORISING, level, 1 - 0.1 * MEMORISING, np.full(40, 0.75))
    verdict = judged(epochs)
    assert verdict.verdict == "overfitting"
    assert "the last epoch's have no lower accuracy" in verdict.sentence


def test_loss_that_still_falls_at_the_end_is_underfitting() -> None:
    verdict = judged(history(0.7 - 0.3 * TIME, 0.72 - 0.3 * TIME))
    assert verdict.verdict == "underfitting"
    assert verdict.evidence["next"] == {"train.epochs": 300, "train.learning_rate": 0.003}


def test_a_network_no_better_than_a_constant_is_underfitting() -> None:
    flat = 0.69 + 0.001 * noise(30)
    epochs = [
        Epoch(i, float(v), float(v), {"accuracy": 0.9, "roc_auc": 0.51}, {"accuracy": 0.9, "roc_auc": 0.48})
        for i, v in enumerate(flat)
    ]
    verdict = judged(epochs)
    assert verdict.verdict == "underfitting"
    assert "nothing was learned that holds for new rows" in verdict.sentence


def test_a_network_that_only_knows_its_train_rows_is_overfitting() -> None:
    epochs = [
        Epoch(i, 0.69 - i / 100, 0.69, {"accuracy": 0.5 + i / 100, "roc_auc": 0.5 + i / 80},
              {"accuracy": 0.5, "roc_auc": 0.5})
        for i in range(30)
    ]  # fmt: skip
    assert judged(epochs).verdict == "overfitting"


def test_both_losses_rising_is_unstable_not_overfitting() -> None:
    verdict = judged(history(TURNING - 0.05, TURNING))
    assert verdict.verdict == "unstable"
    assert verdict.sentence.endswith("Try train.learning_rate: 0.0003, train.clip_norm: 1.")


@pytest.mark.parametrize("epochs", [1, 2, 3])
def test_few_epochs_are_undecided(epochs: int) -> None:
    verdict = judged(history(FALLING[:epochs], FALLING[:epochs]))
    assert verdict.verdict == "undecided"
    assert verdict.evidence["onset_epoch"] is None


def test_undefined_scores_leave_the_verdict_to_the_losses() -> None:
    nothing = [None] * 40
    for undefined in (nothing, [float("nan")] * 40):
        verdict = judged(history(MEMORISING, TURNING, undefined, undefined))
        assert verdict.verdict == "overfitting"
        assert verdict.evidence["score_cost_of_last_epoch"] is None
        assert "accuracy" not in verdict.sentence


def test_epochs_without_finite_losses_are_left_out() -> None:
    epochs = history(MEMORISING, TURNING)
    broken = [
        *epochs[:5],
        Epoch(99, float("nan"), float("inf"), epochs[5].train, epochs[5].validation),
        *epochs[5:],
    ]
    assert judge(broken, best(epochs), 1_000) == judge(epochs, best(epochs), 1_000)


def test_regression_is_judged_in_r2() -> None:
    epochs = [
        Epoch(
            e.epoch, e.train_loss, e.validation_loss, {"r2": 1 - e.train_loss}, {"r2": 1 - e.validation_loss}
        )
        for e in history(MEMORISING, TURNING)
    ]
    verdict = judged(epochs)
    assert verdict.evidence["score"] == "r2"
    assert verdict.evidence["score_cost_of_last_epoch"] == pytest.approx(TURNING[-1] - TURNING.min())
    assert "of R2" in verdict.sentence


def test_the_evidence_is_plain_json() -> None:
    for curve in (TURNING, FALLING, FALLING[:2]):
        epochs = history(MEMORISING[: len(curve)], curve, [None] * len(curve))
        as_json = judged(epochs).as_json()
        assert json.loads(json.dumps(as_json, allow_nan=False)) == as_json
        assert set(as_json) == {"verdict", "sentence", "evidence"}


def test_a_validation_loss_that_still_falls_is_not_overfitting_however_wide_the_gap() -> None:
    scores = np.full(40, 0.8)
    measured = with_errors(history(MEMORISING, 1.1 - 0.2 * TIME, scores, scores), 0.01, constant=1.2)
    assert judge(measured, best(measured), 1_000).verdict == "underfitting"
    level = with_errors(history(MEMORISING, 0.9 + 0 * TIME, scores, scores), 0.01, constant=1.2)
    assert judge(level, best(level), 1_000).verdict == "overfitting"
