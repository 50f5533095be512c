"""Every option of the train section does what its description says."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from etude.errors import ExperimentError
from etude.experiment import Train
from etude.training import losses
from etude.training.checkpoint import Checkpoints
from etude.training.devices import device_name
from etude.training.epoch import Epoch
from etude.training.fitting import Part, Recipe
from etude.training.objective import objective_of
from etude.training.optimizer import SGD, FlatParameters, optimizer_of
from etude.training.stopping import plateau_scale
from tests.test_checkpoint import Stop, seldom, stop_after
from tests.test_checkpoint import fitted as with_batch_norm
from tests.test_training import bits, built, fitted, table

DRAW = torch.Generator().manual_seed(3)
LOGITS, CLASSES = torch.randn(50, 3, generator=DRAW), torch.randint(3, (50,), generator=DRAW)


def objective(task: str, target: torch.Tensor, outputs: int = 3, **settings):
    return objective_of(Train(**settings), task, outputs, target)


def test_smoothed_and_weighted_cross_entropy_are_torchs():
    smoothed = objective("classification", CLASSES, label_smoothing=0.1).loss(LOGITS, CLASSES)
    assert smoothed == functional.cross_entropy(LOGITS, CLASSES, label_smoothing=0.1)
    target = torch.tensor([0] * 40 + [1] * 8 + [2] * 2)
    balanced = objective("classification", target, class_weights="balanced")
    assert balanced.class_weights.tolist() == pytest.approx([50 / 120, 50 / 24, 50 / 6])
    # Over the rows that the weights were made of, torch's weighted mean and ours are the same.
    expected = functional.cross_entropy(LOGITS, target, weight=balanced.class_weights)
    assert balanced.loss(LOGITS, target).item() == pytest.approx(expected.item(), rel=1e-6)
    assert torch.allclose(balanced.base_rate(target).exp(), torch.full((3,), 1 / 3))


def test_the_focal_loss_is_that_of_its_paper():
    shares = torch.softmax(LOGITS.double(), 1)[torch.arange(50), CLASSES]
    expected = (-((1 - shares) ** 2) * shares.log()).mean()
    found = objective("classification", CLASSES, loss="focal").loss(LOGITS.double(), CLASSES)
    assert found.item() == pytest.approx(expected.item(), rel=1e-12)


@pytest.mark.parametrize(
    ("name", "reference"),
    [("mse", functional.mse_loss), ("mae", functional.l1_loss), ("huber", functional.huber_loss)],
)
def test_losses_of_values_are_torchs(name, reference):
    target = 3 * torch.randn(50, generator=DRAW)
    found = objective("regression", target, 1, loss=name).loss(LOGITS[:, :1], target)
    assert found == reference(LOGITS[:, 0], target)


def test_the_pinball_loss_is_lowest_at_the_quantiles():
    target = torch.randn(4000, generator=DRAW, dtype=torch.float64)
    found = objective("regression", target, 3, loss="quantile", quantiles=(0.1, 0.5, 0.9))
    assert found.quantiles == (0.5, 0.1, 0.9), "the prediction comes first"
    best = found.base_rate(target).double()
    assert best.tolist() == pytest.approx(np.quantile(target.numpy(), found.quantiles).tolist(), abs=1e-6)
    lowest = found.loss(best.expand(4000, 3), target)
    for i in range(3):
        for shift in (-0.2, 0.2):
            moved = best.clone()
            moved[i] += shift
            assert found.loss(moved.expand(4000, 3), target) > lowest


def test_quantiles_cover_what_they_promise():
    draw = torch.Generator().manual_seed(0)

    def noisy(rows: int) -> Part:
        numbers = torch.randn(rows, 6, generator=draw)
        noise = torch.randn(rows, generator=draw) * (0.2 + numbers[:, 1].abs())
        return Part(numbers, torch.zeros(rows, 1, dtype=torch.int64), numbers[:, 0] + noise)

    from etude.training import fitting as training

    fit = training.fit(
        built(3, dropout=0), noisy(3000), noisy(1500), task="regression", outputs=3, seed=0,
        settings=Train(loss="quantile", epochs=8, learning_rate=0.005, quantiles=(0.1, 0.5, 0.9)),
    )  # fmt: skip
    best = fit.history[fit.best_epoch - 1].validation
    assert best["coverage"] == pytest.approx(0.8, abs=0.05)
    assert best["r2"] > 0.35


@pytest.mark.parametrize(
    ("settings", "task", "told"),
    [
        ({"loss": "mse"}, "classification", "E104 train.loss must fit a classification, found 'mse'"),
        ({"loss": "focal"}, "regression", "E104 train.loss must fit a regression, found 'focal'"),
        ({"label_smoothing": 0.1}, "regression", "E104 train.label_smoothing goes with classes, found '0.1'"),
        ({"optimizer": "AdmaW"}, "classification", "E104 train.optimizer must be .* did you mean 'AdamW'"),
        ({"optimizer": "LBFGS"}, "classification", "E104 train.optimizer must be"),
        ({"monitor": "validation/acuracy"}, "classification", "did you mean 'validation/accuracy'"),
        (
            {"monitor": "validation/r2"},
            "classification",
            "E104 train.monitor must be a metric of every epoch",
        ),
    ],
)
def test_what_does_not_fit_is_refused_before_training(settings, task, told):
    with pytest.raises(ExperimentError, match=told):
        fitted(task=task, **settings)


def test_an_optimizer_that_torch_does_not_have_leaves_no_run(tmp_path, monkeypatch):
    from etude.experiment import Experiment
    from tasks.linked import linked_run

    monkeypatch.chdir(tmp_path)
    wrong = {"name": "e", "data": {"source": "t.csv", "target": "y"}, "train": {"optimizer": "Adamm"}}
    with (
        pytest.raises(ExperimentError, match=r"E104 train\.optimizer"),
        linked_run(Experiment.model_validate(wrong), folder=str(tmp_path)),
    ):
        pass
    assert not list(tmp_path.iterdir())


def test_a_device_that_is_not_there_is_refused_and_auto_takes_the_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert device_name("auto") == "cpu"
    with pytest.raises(ExperimentError) as caught:
        device_name("cuda")
    assert str(caught.value) == (
        "E110 train.device must be one that this machine has, found 'cuda'; choose cpu, or auto"
    )
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert device_name("auto") == device_name("cuda") == "cuda"


def test_sgd_equals_torchs_to_rounding():
    ours, theirs = built(), built()
    flat = FlatParameters(ours)
    mine = SGD(flat, 0.01, 0.9)
    reference = torch.optim.SGD(theirs.parameters(), lr=1.0, momentum=0.9, weight_decay=0.01)
    part = table(60)
    for _ in range(20):
        flat.gradients.zero_()
        reference.zero_grad()
        for network in (ours, theirs):
            network.eval()
            functional.cross_entropy(network(part.numbers, part.categories), part.target).backward()
        mine.step(0.05)
        reference.param_groups[0]["lr"] = 0.05
        reference.step()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-6)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_torchs_adamw_by_its_name_ends_where_ours_does():
    histories = [fitted(optimizer=name).history[-1].validation_loss for name in ("adamw", "AdamW")]
    assert histories[0] == pytest.approx(histories[1], rel=1e-4)
    assert type(optimizer_of(Train(), FlatParameters(built()))).__name__ == "AdamW"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    "settings",
    [{"optimizer": "sgd"}, {"optimizer": "RAdam"}, {"accumulate": 3}, {"monitor": "validation/accuracy"}],
    ids=str,
)
@pytest.mark.parametrize("recipe", [Recipe("plateau")], ids=["plateau"])
def test_they_resume_to_the_same_bits(tmp_path, settings, recipe):
    settings = {**settings, "epochs": 6, "patience": 3}
    expected = bits(with_batch_norm(settings=settings, recipe=recipe))
    with pytest.raises(Stop):
        with_batch_norm(
            settings=settings, recipe=recipe, checkpoints=seldom(tmp_path), after_step=stop_after(10)
        )
    assert bits(with_batch_norm(settings=settings, recipe=recipe, checkpoints=seldom(tmp_path))) == expected


def test_accumulated_batches_make_the_step_of_one_large_batch():
    train = table(130)
    together = fitted(built(dropout=0), train, batch_size=60, class_weights="balanced")
    apart = fitted(built(dropout=0), train, batch_size=20, accumulate=3, class_weights="balanced")
    assert [e.step for e in apart.history] == [e.step for e in together.history]
    for a, b in zip(together.history, apart.history, strict=True):
        assert a.validation_loss == pytest.approx(b.validation_loss, rel=1e-5)
        assert a.gradient_norm == pytest.approx(b.gradient_norm, rel=1e-4)


def test_the_monitored_metric_says_which_epoch_is_best_and_when_to_stop():
    train, validation = table(60), table(300, seed=1)
    settings = {"epochs": 60, "learning_rate": 0.02, "batch_size": 16, "patience": 12}
    fit = fitted(built(dropout=0), train, validation, monitor="validation/accuracy", **settings)
    scores = [epoch.validation["accuracy"] for epoch in fit.history]
    assert fit.best_epoch == scores.index(max(scores)) + 1
    assert fit.best_epoch != fitted(built(dropout=0), train, validation, **settings).best_epoch
    assert (fit.stopped, len(fit.history)) == ("patience", fit.best_epoch + 12)


@pytest.mark.parametrize("norm", ["gradient_norm", "weight_norm"])
def test_a_norm_of_the_training_can_be_monitored_and_lower_is_better(norm: str) -> None:
    fit = fitted(monitor=f"train/{norm}", epochs=8, patience=8, learning_rate=0.02)
    values = [getattr(epoch, norm) for epoch in fit.history]
    assert fit.best_epoch == values.index(min(values)) + 1


def test_an_undefined_metric_keeps_the_first_epoch_and_does_not_stop_training():
    validation = table(50)
    one_class = Part(validation.numbers, validation.categories, torch.zeros(50, dtype=torch.int64))
    fit = fitted(validation=one_class, monitor="validation/roc_auc", epochs=3)
    assert (fit.best_epoch, len(fit.history)) == (1, 3)


def test_a_plateau_halves_the_rate_after_a_third_of_patience():
    assert plateau_scale([5, 4, 3], 9) == 1
    assert plateau_scale([5, 4, 4, 4], 9) == 1
    assert plateau_scale([5, 4, 4, 4, 4], 9) == 0.5
    assert plateau_scale([5, 4, *[4] * 6], 9) == 0.25
    fit = fitted(recipe=Recipe("plateau"), learning_rate=1.0, epochs=8, patience=6)
    rates = {epoch.learning_rate for epoch in fit.history}
    assert rates >= {1.0, 0.5}


def test_steps_end_a_training_within_an_epoch_that_is_measured():
    fit = fitted(steps=10, epochs=9)
    assert [epoch.step for epoch in fit.history] == [7, 10]
    assert fit.stopped == "steps"


def test_a_time_budget_is_kept_and_its_steps_give_the_same_bits_again():
    fit = fitted(minutes=0.4 / 60, epochs=1_000_000)
    assert fit.stopped == "minutes"
    assert sum(epoch.seconds for epoch in fit.history) < 30, "a loaded machine, but far from a million epochs"
    again = fitted(steps=fit.history[-1].step, epochs=1_000_000)
    assert bits(again) == bits(fit)


@pytest.mark.parametrize("schedule", ["cosine", "one_cycle"])
def test_a_falling_rate_comes_to_its_end_within_a_budget_and_its_epochs_give_the_same_bits_again(schedule):
    recipe = Recipe(schedule, average=0.9)
    fit = fitted(recipe=recipe, minutes=1 / 60, epochs=1_000_000, learning_rate=0.01)
    assert 1 <= fit.planned_epochs < 1_000_000
    limit = {"steps": fit.history[-1].step} if fit.stopped == "minutes" else {}
    again = fitted(recipe=recipe, epochs=fit.planned_epochs, learning_rate=0.01, **limit)
    assert bits(again) == bits(fit)
    if fit.stopped == "epochs":  # else the machine got slower meanwhile
        assert fit.history[-1].learning_rate < 0.0002
    assert fitted(minutes=1 / 60, epochs=2).planned_epochs == 0, "a constant rate needs no plan"


def test_a_plan_outlives_its_process(tmp_path):
    budget = {"recipe": Recipe("cosine"), "settings": {"minutes": 1 / 60, "epochs": 1_000_000}}
    with pytest.raises(Stop):
        with_batch_norm(checkpoints=seldom(tmp_path), after_step=stop_after(2), **budget)
    first, second = sorted(tmp_path.glob("*.safetensors"))
    assert first.name.startswith("0" * 12), "before the first step"
    second.unlink()
    fit = with_batch_norm(checkpoints=seldom(tmp_path), **budget)  # compares the two steps with those before
    settings = {"epochs": fit.planned_epochs}
    if fit.stopped == "minutes":
        settings["steps"] = fit.history[-1].step
    assert bits(with_batch_norm(recipe=Recipe("cosine"), settings=settings)) == bits(fit)


def test_bfloat16_trains_in_autocast_and_keeps_float32_weights():
    fit = fitted(precision="bfloat16")
    plain = fitted()
    assert all(tensor.dtype == torch.float32 for tensor in fit.best.values())
    assert fit.history[-1].validation_loss != plain.history[-1].validation_loss
    assert fit.history[-1].validation_loss == pytest.approx(plain.history[-1].validation_loss, rel=0.05)


def test_an_epoch_knows_what_measuring_took():
    epoch: Epoch = fitted(epochs=1).history[0]
    assert 0 < epoch.measuring_seconds < epoch.seconds
    assert losses.median_first((0.9, 0.5, 0.1)) == (0.5, 0.1, 0.9)
    assert Checkpoints.__dataclass_fields__["within_epoch_seconds"].default == 10
