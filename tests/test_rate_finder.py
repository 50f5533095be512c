"""The learning rate range test suggests a rate that learns, and draws what it saw."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from etude.experiment import Train
from etude.report.rate_figure import rate_curve
from etude.training.divergence import TrainingDivergedError
from etude.training.rate_finder import HIGHEST, LOWEST, STEPS, find_rate, suggested
from tests.test_training import built, fitted, table


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_the_suggested_rate_learns_better_than_a_hundredth_and_a_hundredfold(task):
    outputs = 2 if task == "classification" else 1
    train = table(1000, classes=outputs == 2)
    found = find_rate(
        built(outputs), train, task=task, outputs=outputs, settings=Train(batch_size=32), seed=0
    )
    assert 1e-4 < found.suggestion < 0.3
    losses = [
        fitted(train=train, task=task, epochs=4, batch_size=32, learning_rate=rate).history[-1].train_loss
        for rate in (found.suggestion, found.suggestion / 100, min(found.suggestion * 100, 10))
    ]
    assert losses[0] == min(losses)


@pytest.mark.parametrize("steepest", [1e-4, 1e-2])
def test_the_suggestion_is_where_the_loss_falls_fastest(steepest):
    rates = [LOWEST * (HIGHEST / LOWEST) ** (i / (STEPS - 1)) for i in range(STEPS)]
    losses = [1 / (1 + (rate / steepest) ** 2) for rate in rates]
    assert suggested(rates, losses) == pytest.approx(steepest, rel=0.2)


def test_first_weights_that_give_no_finite_loss_are_told_instead_of_a_rate():
    network = built()
    with torch.no_grad():
        network.blocks[0].weight.fill_(float("nan"))
    with pytest.raises(TrainingDivergedError, match="E113"):
        find_rate(network, table(100), task="classification", outputs=2, settings=Train(), seed=0)


def test_rates_rise_until_the_loss_blows_up_and_the_same_seed_gives_the_same_curve():
    runs = [
        find_rate(built(), table(500), task="classification", outputs=2, settings=Train(), seed=3)
        for _ in "ab"
    ]
    assert runs[0] == runs[1]
    assert runs[0].rates[0] == LOWEST
    assert sorted(runs[0].rates) == list(runs[0].rates)
    assert runs[0].rates[-1] <= HIGHEST
    assert len(runs[0].losses) == len(runs[0].rates)
    assert rate_curve(runs[0].rates, runs[0].losses, runs[0].suggestion).startswith(b"\x89PNG")


def test_the_command_writes_the_picture_and_one_json_object(
    flowers_file: Path, monkeypatch: pytest.MonkeyPatch
):
    from flows.cli import etude

    monkeypatch.chdir(flowers_file.parent)
    told = CliRunner().invoke(etude, ["find-lr", "flowers.yaml", "--json"])
    assert told.exit_code == 0, told.output
    answer = json.loads(told.stdout.splitlines()[-1])
    assert answer["rates"][0] < answer["learning_rate"] < 10
    assert Path(answer["picture"]).read_bytes().startswith(b"\x89PNG")
    assert answer["picture"] == "flowers.find-lr.png"
    assert not Path("mlflow.db").exists(), "no run is made"


def test_the_rates_stand_on_the_axis_as_numbers(monkeypatch):
    from matplotlib.figure import Figure

    from etude.report import rate_figure

    figure = Figure()
    monkeypatch.setattr(rate_figure, "drawn", lambda width, height, draw: draw(figure))
    rate_figure.rate_curve([1e-5, 1e-3, 1e-1], [1.0, 0.5, 2.0], 1e-3)
    figure.draw_without_rendering()
    labels = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert "0.001" in labels
    assert not any("$" in label for label in labels)
