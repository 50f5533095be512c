"""The loop learns, stops in time, is exact to the bit, and does not touch what is not its own."""

import dataclasses
import json
import os
import subprocess
import sys
from dataclasses import asdict
from math import isfinite, log
from pathlib import Path

import pytest
import torch
from torch.utils import deterministic

from etude.errors import DataError
from etude.experiment import Network, Train
from etude.networks.build import build
from etude.networks.sizes import Sizes
from etude.private import without_value
from etude.training import fitting as training
from etude.training import inference, weights
from etude.training.fitting import Epoch, Fitted, Part, Recipe, TrainingDivergedError
from etude.training.loop import Loop
from etude.training.objective import Objective
from etude.training.optimizer import AdamW, FlatParameters
from etude.training.schedule import Schedule

ROOT = Path(__file__).resolve().parents[1]


def table(rows: int, seed: int = 0, classes: bool = True) -> Part:
    """Six numbers and a category; the product of two numbers decides, so that a straight line learns nothing."""
    draw = torch.Generator().manual_seed(seed)
    numbers = torch.randn(rows, 6, generator=draw)
    categories = torch.randint(4, (rows, 1), generator=draw)
    value = numbers[:, 0] * numbers[:, 1] + (categories[:, 0] == 2)
    return Part(
        numbers, categories, (value > 0.3).long() if classes else (value - value.mean()) / value.std()
    )


def built(outputs: int = 2, seed: int = 0, **settings) -> torch.nn.Module:
    network = Network(**{"kind": "mlp", "hidden": (32, 32), "dropout": 0.1, **settings})
    return build(network, Sizes(6, (4,), outputs, "classification" if outputs > 1 else "regression"), seed)


def fitted(
    network=None,
    train=None,
    validation=None,
    task="classification",
    seed=0,
    hear=None,
    recipe=training.PLAIN,
    **settings,
) -> Fitted:
    outputs = 2 if task == "classification" else 1
    return training.fit(
        network or built(outputs, seed),
        table(400, classes=outputs == 2) if train is None else train,
        table(200, seed=1, classes=outputs == 2) if validation is None else validation,
        task=task,
        outputs=outputs,
        settings=Train(**{"epochs": 3, "batch_size": 64, "patience": 100, **settings}),
        seed=seed,
        recipe=recipe,
        on_epoch=hear or training.nothing,
    )


def bits(fit: Fitted) -> tuple:
    """All that a training says, without its clocks."""
    epochs = [
        {
            k: v
            for k, v in asdict(e).items()
            if k not in ("seconds", "rows_per_second", "timestamp", "measuring_seconds")
        }
        for e in fit.history
    ]
    return weights.digest(fit.best), weights.digest(fit.last), json.dumps(epochs)


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_it_learns_what_a_linear_network_cannot(task):
    train, validation = (table(n, seed=n, classes=task == "classification") for n in (2000, 500))
    outputs = 2 if task == "classification" else 1
    scores = {}
    for kind in ("mlp", "linear"):
        fit = fitted(built(outputs, kind=kind), train, validation, task, epochs=30, learning_rate=0.01)
        scores[kind] = fit.history[fit.best_epoch - 1].validation["score"]
    assert scores["mlp"] > 0.85
    assert scores["linear"] < scores["mlp"] - 0.1


def test_a_tiny_set_is_learned_by_heart():
    train = table(16)
    fit = fitted(built(dropout=0), train, train, epochs=200, learning_rate=0.01, batch_size=16)
    assert fit.history[-1].train["score"] == 1
    assert fit.history[-1].train_loss < 0.01


def test_classes_start_from_their_shares_and_values_from_zero():
    seen = {}
    for task, outputs in (("classification", 2), ("regression", 1)):
        train = table(400, classes=outputs == 2)
        network = built(outputs)
        network.head.weight.data.zero_()
        fitted(network, train, train, task, epochs=1, learning_rate=1e-9)
        seen[task] = network.head.bias.detach()
    share = table(400).target.double().mean().item()
    assert torch.allclose(seen["classification"], torch.tensor([log(1 - share), log(share)]), atol=1e-6)
    assert torch.allclose(seen["regression"], torch.zeros(1), atol=1e-6)


def test_a_class_without_a_training_row_starts_from_a_finite_bias():
    train = table(40)
    only_zeros = Part(train.numbers, train.categories, torch.zeros(40, dtype=torch.int64))
    fit = fitted(train=only_zeros, epochs=1)
    assert fit.best["head.bias"].isfinite().all()


def test_an_epoch_says_what_it_did():
    fit = fitted(epochs=2, learning_rate=0.002)
    steps = -(-400 // 64)
    assert [(e.epoch, e.step, e.learning_rate) for e in fit.history] == [
        (1, steps, 0.002),
        (2, 2 * steps, 0.002),
    ]
    for epoch in fit.history:
        assert epoch.train.keys() == epoch.validation.keys() >= {"score", "accuracy", "log_loss"}
        assert epoch.validation["score"] == epoch.validation["accuracy"]
        assert epoch.validation["log_loss"] == pytest.approx(epoch.validation_loss, abs=1e-6)
        assert epoch.train["log_loss"] == pytest.approx(epoch.train_loss, abs=1e-6)
        assert epoch.gradient_norm > 0
        assert 0 < epoch.seconds < 60
        assert epoch.rows_per_second > 400 / epoch.seconds
    squares = sum(v.double().square().sum() for name, v in fit.last.items())
    assert fit.history[-1].weight_norm == pytest.approx(float(squares) ** 0.5, rel=1e-6)


def test_the_gradient_norm_is_that_of_the_loss():
    train = table(50)
    network = built(dropout=0)
    twin = built(dropout=0)
    twin.head.bias.data = torch.bincount(train.target).div(50).log()
    torch.nn.functional.cross_entropy(twin(train.numbers, train.categories), train.target).backward()
    expected = torch.nn.utils.get_total_norm([p.grad for p in twin.parameters()]).item()
    fit = fitted(network, train, train, epochs=2, batch_size=50, learning_rate=1e-12)
    assert [epoch.gradient_norm for epoch in fit.history] == pytest.approx([expected] * 2, rel=1e-5)


def test_regression_is_scored_by_r2():
    fit = fitted(task="regression")
    for epoch in fit.history:
        assert epoch.validation["score"] == epoch.validation["r2"]
        assert epoch.validation["rmse"] ** 2 == pytest.approx(epoch.validation_loss, rel=1e-6)


def test_train_and_validation_are_measured_the_same_way_without_dropout():
    part = table(300)
    fit = fitted(built(dropout=0.5), part, part)
    for epoch in fit.history:
        assert epoch.train_loss == epoch.validation_loss
        assert epoch.train == epoch.validation


def test_train_is_measured_on_a_fixed_sample_as_large_as_validation():
    train, validation = table(1000), table(100, seed=1)
    # Nothing moves, so equal losses mean equal rows, and a sample differs from the whole.
    fit = fitted(built(dropout=0), train, validation, learning_rate=1e-12, weight_decay=0)
    network = built(dropout=0)
    network.load_state_dict(fit.last)
    whole = torch.nn.functional.cross_entropy(
        inference.predict(network, train.numbers, train.categories), train.target
    ).item()
    assert fit.best_epoch == 1, "the earlier of equals"
    losses = {round(epoch.train_loss, 6) for epoch in fit.history}
    assert len(losses) == 1
    assert losses.pop() != pytest.approx(whole, abs=1e-5)


def test_the_best_epoch_has_the_lowest_validation_loss_and_its_weights_stay_in_the_network():
    train, validation = table(60), table(300, seed=1)
    network = built(dropout=0)
    fit = fitted(network, train, validation, epochs=60, learning_rate=0.02, batch_size=16)
    losses = [epoch.validation_loss for epoch in fit.history]
    assert fit.best_epoch == losses.index(min(losses)) + 1 < 60
    assert weights.digest(network.state_dict()) == weights.digest(fit.best) != weights.digest(fit.last)
    outputs = inference.predict(network, validation.numbers, validation.categories)
    assert torch.nn.functional.cross_entropy(outputs, validation.target).item() == pytest.approx(
        min(losses), rel=1e-5
    )


def test_it_stops_when_patience_ends_and_says_so():
    fit = fitted(built(dropout=0), table(60), table(300, seed=1), epochs=200, learning_rate=0.02, patience=4)
    assert fit.stopped == "patience"
    assert len(fit.history) == fit.best_epoch + 4 < 200
    assert fitted(epochs=2).stopped == "epochs"


def test_a_loss_that_never_improves_leaves_the_first_epoch():
    part = table(100)
    flipped = Part(part.numbers, part.categories, 1 - part.target)
    fit = fitted(built(dropout=0), part, flipped, epochs=20, learning_rate=0.05, patience=3)
    assert (fit.best_epoch, len(fit.history)) == (1, 4)


@pytest.mark.parametrize(
    ("rows", "batch_size", "steps"), [(1, 64, 1), (5, 64, 1), (65, 64, 2), (64, 64, 1), (3, 1, 3)]
)
def test_every_row_is_seen_once_whatever_the_batches_leave_over(rows, batch_size, steps):
    network, seen = built(), []
    network.register_forward_hook(lambda m, inputs, _: seen.append(inputs[0]) if m.training else None)
    part = table(rows)
    fit = fitted(network, part, part, epochs=1, batch_size=batch_size)
    assert fit.history[0].step == steps == len(seen)
    assert sorted(torch.cat(seen)[:, 0].tolist()) == sorted(part.numbers[:, 0].tolist())
    assert isfinite(fit.history[0].train_loss)


def test_every_epoch_has_an_order_of_its_own():
    network, seen = built(), []
    network.register_forward_hook(lambda m, inputs, _: seen.append(inputs[0][:, 0]) if m.training else None)
    fitted(network, table(64), table(64), epochs=2, batch_size=64)
    assert not torch.equal(seen[0], seen[1])


@pytest.mark.parametrize("name", ["train", "validation"])
def test_an_empty_part_is_refused_in_one_line(name):
    with pytest.raises(DataError) as caught:
        fitted(**{name: table(0)})
    assert str(caught.value) == (
        f"E120 the {name} part must hold at least one row, found '0 rows'; "
        "give it a larger share in the experiment's split"
    )


def planted(rows: int, at: int, value: float) -> Part:
    part = table(rows, classes=False)
    part.target[at] = value
    return part


def test_a_loss_that_is_not_finite_stops_before_the_step_and_names_it():
    heard: list[Epoch] = []
    network = built(1)
    part = planted(50, at=3, value=1e30)
    with pytest.raises(TrainingDivergedError) as caught:
        fitted(network, part, table(50, classes=False), "regression", hear=heard.append, learning_rate=0.1)
    error = caught.value
    assert str(error) == (
        f"E113 the loss must be finite, but became inf, epoch 1, step 1, batch of 50 rows of the train part: "
        f"{', '.join(map(str, error.rows[:5]))} ..., found '1e+30 in row 3'; "
        "the batch holds a number that is far out: mend or drop its row (the target)"
    )
    assert (error.exit_code, error.step, error.epoch) == (3, 1, 1)
    assert 3 in error.rows
    assert not heard
    untouched = built(1).state_dict()
    assert all(
        torch.equal(untouched[name], value)
        for name, value in network.state_dict().items()
        if name != "head.bias"
    )


def test_a_gradient_that_is_not_finite_stops_likewise():
    part = table(50)
    part.numbers[3:5] = 1e30
    part.target[3:5] = torch.tensor([0, 1])
    with pytest.raises(TrainingDivergedError, match="E114 the gradient must be finite, epoch 1, step "):
        fitted(built(kind="linear"), part)


def test_a_number_that_is_not_finite_in_the_batch_is_the_reason_that_is_named():
    part = table(50)
    part.numbers[7, 2] = float("nan")
    with pytest.raises(TrainingDivergedError, match="the batch holds a number that is not finite") as caught:
        fitted(train=part, batch_size=10)
    assert 7 in caught.value.rows
    assert len(caught.value.rows) == 10


def test_a_step_that_follows_no_other_does_not_blame_the_learning_rate():
    network = built()
    network.head.weight.data.fill_(float("nan"))
    with pytest.raises(
        TrainingDivergedError, match=r"its first weights already give that: look at network\.init"
    ):
        fitted(network)


def test_a_value_is_named_by_its_column_and_its_row_in_the_table_and_not_told_of_a_private_one():
    part = table(50, classes=False)
    part.numbers[7, 2] = 3e30
    with pytest.raises(TrainingDivergedError) as caught:
        fitted(train=part, task="regression", batch_size=50)
    named = caught.value.named([100 + row for row in range(50)], ["a", "b", "width"])
    assert "found '3e+30 in row 107'" in str(named)
    assert "mend or drop its row (column 'width')" in str(named)
    assert named.rows == tuple(100 + row for row in caught.value.rows)
    told = without_value(named)
    assert "3e+30" not in str(told)
    assert (told.exit_code, told.step) == (3, 1)


def test_a_validation_loss_that_is_not_finite_stops_and_the_epoch_is_not_announced():
    heard: list[Epoch] = []
    validation = table(20)
    validation.numbers[0] = float("inf")
    with pytest.raises(
        TrainingDivergedError, match="E113 the validation loss must be finite, but became nan"
    ):
        fitted(validation=validation, hear=heard.append)
    assert not heard


def test_epochs_before_a_divergence_were_announced():
    heard: list[Epoch] = []
    train = table(200, classes=False)

    def sabotage(epoch: Epoch) -> None:
        heard.append(epoch)
        if epoch.epoch == 2:
            train.target[:] = 1e30

    with pytest.raises(TrainingDivergedError, match="epoch 3, step 9"):
        fitted(train=train, task="regression", hear=sabotage, batch_size=50)
    assert [epoch.epoch for epoch in heard] == [1, 2]


def test_what_a_listener_raises_ends_the_training_and_frees_the_parameters():
    network = built()

    def listener(epoch: Epoch) -> None:
        raise KeyError(epoch.epoch)

    with pytest.raises(KeyError):
        fitted(network, hear=listener)
    assert all(p.grad is None and p.untyped_storage().nbytes() == 4 * p.numel() for p in network.parameters())


def test_the_same_seed_gives_the_same_bits_and_another_seed_others():
    assert bits(fitted(seed=3)) == bits(fitted(seed=3))
    assert bits(fitted(seed=3))[1] != bits(fitted(seed=4))[1]
    assert bits(fitted(built(seed=3), seed=3))[1] != bits(fitted(built(seed=3), seed=4))[1]


def test_the_global_generators_are_neither_read_nor_written():
    import random  # noqa: TID251 - the point of the test

    import numpy as np

    def draw(_: Epoch) -> None:
        torch.rand(5), random.random(), np.random.rand(2)

    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()
    quiet = bits(fitted())
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]
    assert np.array_equal(np.random.get_state()[1], before[2])
    assert bits(fitted(hear=draw)) == quiet


def test_order_and_dropout_draw_from_generators_of_their_own():
    settings = Train(epochs=1)
    loop = Loop(built(), table(9), table(9), Objective("classification", 2), settings, Recipe(), seed=0)
    assert loop.order.initial_seed() != loop.dropout.initial_seed()


def test_it_trains_although_the_caller_has_gradients_switched_off():
    expected = bits(fitted())
    network, train, validation = built(), table(400), table(200, seed=1)
    with torch.inference_mode():
        assert bits(fitted(network, train, validation)) == expected


def test_the_learning_rate_of_an_epoch_is_that_of_its_last_step():
    fit = fitted(recipe=Recipe("cosine", warmup_epochs=1), epochs=4, learning_rate=0.01)
    schedule = Schedule("cosine", 0.01, steps=28, warmup_steps=7)
    assert [e.learning_rate for e in fit.history] == [
        schedule.learning_rate(step) for step in (6, 13, 20, 27)
    ]


def test_the_schedule_moves_the_weights_step_by_step():
    part = table(60)
    fit = fitted(
        built(dropout=0), part, part, recipe=Recipe("cosine"), epochs=3, batch_size=60, learning_rate=0.01
    )
    twin = built(dropout=0)
    twin.head.bias.data = torch.bincount(part.target).div(60).log()
    flat = FlatParameters(twin)
    optimizer = AdamW(flat, 0.01)
    for rate in (0.01, 0.0075, 0.0025):
        flat.gradients.zero_()
        torch.nn.functional.cross_entropy(twin(part.numbers, part.categories), part.target).backward()
        optimizer.step(rate)
    assert all(torch.allclose(v, fit.last[name], atol=1e-6) for name, v in twin.state_dict().items())


def test_a_clipped_gradient_is_as_long_as_the_limit_and_a_short_one_stays():
    part, lengths = table(400), {}
    for limit in (1e-3, 1e9):
        network = built()
        loop = Loop(
            network, part, part, Objective("classification", 2), Train(), Recipe(clip_norm=limit), seed=0
        )
        with torch.enable_grad():
            norm = loop.make_step(torch.arange(50))
        lengths[limit] = (torch.linalg.vector_norm(loop.flat.gradients).item(), norm)
    assert lengths[1e-3][0] == pytest.approx(1e-3, rel=1e-5)
    assert lengths[1e9][0] == lengths[1e9][1] == lengths[1e-3][1] > 0.01


@pytest.mark.parametrize(("spent", "out"), [(49.0, False), (51.0, True)])
def test_a_time_budget_leaves_room_for_measuring(spent, out):
    part = table(60)
    settings = Train(minutes=1.0)
    loop = Loop(built(), part, part, Objective("classification", 2), settings, Recipe(), seed=0)
    (epoch,) = fitted(epochs=1).history
    loop.progress.step = 1
    loop.progress.history = [dataclasses.replace(epoch, seconds=spent, measuring_seconds=10.0)]
    assert loop.out_of_time() is out


def test_the_average_is_what_is_measured_and_kept():
    validation = table(200, seed=1)
    network = built()
    fit = fitted(network, validation=validation, recipe=Recipe(average=0.99), epochs=4, learning_rate=0.02)
    plain = fitted(epochs=4, learning_rate=0.02)
    for other in (plain.last, built().state_dict()):
        assert not torch.equal(fit.last["blocks.0.weight"], other["blocks.0.weight"])
    network.load_state_dict(fit.last)
    outputs = inference.predict(network, validation.numbers, validation.categories)
    loss = torch.nn.functional.cross_entropy(outputs, validation.target).item()
    assert loss == pytest.approx(fit.history[-1].validation_loss, rel=1e-5)
    assert [e.gradient_norm for e in fit.history] == [e.gradient_norm for e in plain.history], (
        "it goes on beside"
    )


def test_threads_and_determinism_are_restored_afterwards():
    def current() -> tuple:
        return (
            torch.get_num_threads(),
            torch.get_deterministic_debug_mode(),
            deterministic.fill_uninitialized_memory,
            torch.is_grad_enabled(),
        )

    before, inside = current(), []
    with torch.no_grad():
        fitted(threads=2, epochs=1, hear=lambda _: inside.append(current()))
        assert not torch.is_grad_enabled()
    assert inside == [(2, 2, False, True)]
    assert current() == before


SCRIPT = """
import sys
from tests.test_training import bits, fitted
print(bits(fitted(threads=int(sys.argv[1]), epochs=2))[1])
print([name for name in sys.modules if name.startswith(("torch._dynamo", "torch._inductor", "sklearn", "pandas"))])
"""


def in_another_process(folder: Path, hash_seed: int, threads: int) -> list[str]:
    environment = {**os.environ, "PYTHONHASHSEED": str(hash_seed), "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(threads)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_another_process_gets_the_same_bits_and_loads_no_compiler(tmp_path):
    here = bits(fitted(threads=1, epochs=2))[1]
    assert in_another_process(tmp_path, hash_seed=1, threads=1) == [here, "[]"]
