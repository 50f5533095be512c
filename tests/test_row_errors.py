"""An epoch knows how sure its losses are: standard errors over the rows, paired with the lowest epoch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from etude.evaluation.row_errors import of_end
from etude.experiment import Train
from etude.training.constant import best_constant
from etude.training.epoch import Epoch
from etude.training.inference import predict
from etude.training.objective import Measured, Objective, objective_of
from etude.training.row_errors import RowErrors
from tests.test_training import built, fitted, table


def measured(losses: list[float], scores: list[float]) -> Measured:
    rows = torch.tensor([losses, scores], dtype=torch.float64)
    return Measured(rows[0].mean().item(), {}, rows)


def test_the_rise_is_compared_row_by_row_with_the_lowest_epoch():
    train, errors = measured([0.1, 0.2, 0.3], [1, 1, 1]), RowErrors()
    first = errors.of(train, measured([1.0, 2.0, 6.0], [1, 0, 0]))
    assert first["rise"] == first["cost"] == 0
    assert first["validation_loss"] == pytest.approx(np.std([1, 2, 6], ddof=1) / 3**0.5)
    assert first["train_loss"] == pytest.approx(0.1 / 3**0.5)
    alike = errors.of(train, measured([1.5, 2.5, 6.5], [1, 1, 0]))
    assert alike["rise"] == 0, "every row rose by the same"
    assert alike["cost"] == pytest.approx(1 / 3)
    assert errors.of(train, measured([0.0, 1.0, 3.0], [1, 1, 0]))["rise"] == 0, "a new lowest epoch"
    assert errors.of(train, measured([1.0, 1.0, 3.0], [1, 1, 0]))["rise"] == pytest.approx(1 / 3)


def test_a_single_row_says_nothing_of_its_error():
    assert RowErrors().of(measured([0.1, 0.2], [1, 1]), measured([0.3], [1])) == {}


@pytest.mark.parametrize(
    ("task", "settings"),
    [
        ("classification", {}),
        ("classification", {"loss": "focal", "class_weights": "balanced"}),
        ("classification", {"class_weights": "balanced", "label_smoothing": 0.1}),
        ("regression", {}),
        ("regression", {"loss": "mae"}),
        ("regression", {"loss": "huber"}),
        ("regression", {"loss": "quantile"}),
    ],
)
def test_the_rows_losses_have_the_loss_as_their_mean_and_a_constant_has_its_own(task, settings):
    part = table(300, classes=task == "classification")
    outputs = 3 if settings.get("loss") == "quantile" else 2 if task == "classification" else 1
    objective = objective_of(Train(**settings), task, outputs, part.target)
    network = built(outputs)
    found = objective.measure(network, part)
    assert found.rows[0].mean().item() == pytest.approx(found.loss, rel=1e-9)
    with torch.no_grad():
        network.head.weight.zero_()
        network.head.bias.copy_(best_constant(objective, part.target))
    assert objective.constant_loss(part.target, part.target) == pytest.approx(
        objective.measure(network, part).loss, rel=1e-5
    )


@pytest.mark.parametrize(
    ("task", "settings", "least"),
    [
        ("classification", {"label_smoothing": 0.2}, 0.01),
        ("classification", {"loss": "focal"}, 0.01),
        ("classification", {"loss": "focal", "class_weights": "balanced", "label_smoothing": 0.1}, 0.0),
        ("regression", {"loss": "huber"}, 0.003),
    ],
)
def test_no_constant_is_better_than_the_best_even_where_the_base_rate_is_not_it(task, settings, least):
    draws = np.random.default_rng(0)
    rare = torch.from_numpy((draws.random(2000) < 0.04).astype(np.int64))
    skewed = torch.from_numpy(np.exp(1.5 * draws.normal(size=2000)).astype(np.float32))
    target = rare if task == "classification" else (skewed - skewed.mean()) / skewed.std()
    outputs = 2 if task == "classification" else 1
    objective = objective_of(Train(**settings), task, outputs, target)
    best = objective.constant_loss(target, target)
    base = objective.base_rate(target).double()
    by_base = objective.loss(base.expand(len(target), -1), target).item()
    assert best <= by_base - least
    for way in torch.from_numpy(draws.normal(size=(50, outputs))):
        there = (best_constant(objective, target) + 0.1 * way).expand(len(target), -1)
        assert objective.loss(there, target).item() > best - 1e-6


def test_the_score_of_the_rows_is_the_accuracy_or_the_squared_error():
    for task, outputs in (("classification", 2), ("regression", 1)):
        part, network = table(200, classes=task == "classification"), built(outputs)
        found = Objective(task, outputs).measure(network, part)
        expected = found.metrics["accuracy"] if outputs == 2 else found.metrics["rmse"] ** 2
        assert found.rows[1].mean().item() == pytest.approx(expected, rel=1e-6)


def test_a_training_records_them_and_they_are_those_of_its_weights():
    validation = table(200, seed=1)
    fit = fitted(built(), validation=validation, epochs=8, learning_rate=0.03)
    last, lowest = fit.history[-1], min(fit.history, key=lambda e: e.validation_loss)
    assert lowest.errors["rise"] == 0
    assert {*last.errors} == {"train_loss", "validation_loss", "rise", "cost"}
    rows = []
    for weights in (fit.best, fit.last):
        network = built()
        network.load_state_dict(weights)
        outputs = predict(network, validation.numbers, validation.categories).double()
        rows.append(torch.nn.functional.cross_entropy(outputs, validation.target, reduction="none"))
    assert last.errors["rise"] == pytest.approx((rows[1] - rows[0]).std().item() / 200**0.5, abs=1e-12)
    assert last.constant_loss == pytest.approx(0.69, abs=0.02)


def test_histories_without_errors_get_what_a_row_usually_varies_by():
    old = Epoch(1, 1, 0.1, 1.0, 0, 1.0, 0.3, 0.4, {"accuracy": 0.9}, {"accuracy": 0.8}, 1.0, 0.1, 1.0, 0)
    found = of_end([old], 100)
    assert (found.rise, found.gap) == pytest.approx((0.04, 0.05))
    assert found.score == pytest.approx(0.04)


def test_the_gap_is_as_unsure_as_both_of_its_losses_together():
    errors = {"rise": 0.1, "train_loss": 0.3, "validation_loss": 0.4, "cost": 0.0}
    new = Epoch(1, 1, 0.1, 1.0, 0, 1.0, 0.3, 0.4, {}, {"accuracy": 0.8}, 1.0, 0.1, 1.0, 0, 1.0, errors)
    assert of_end([new], 100).gap == pytest.approx(0.5)
