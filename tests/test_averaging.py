"""The moving average follows the weights and leaves them alone."""

import pytest
import torch

from etude.training import weights
from etude.training.averaging import MovingAverage
from etude.training.optimizer import FlatParameters


def network() -> torch.nn.Module:
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    draw = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, generator=draw)
    return model


def moved(model: torch.nn.Module, step: int) -> None:
    with torch.no_grad():
        for tensor in model.state_dict().values():
            tensor.add_(step)


def test_it_is_the_recursion_that_it_says_for_parameters_and_buffers():
    model = network()
    expected = {name: tensor.double().clone() for name, tensor in model.state_dict().items()}
    average = MovingAverage(model, FlatParameters(model), decay=0.6)
    for step in range(1, 20):
        moved(model, step)
        decay = min(0.6, (1 + step) / (10 + step))
        for name, tensor in model.state_dict().items():
            expected[name] = decay * expected[name] + (1 - decay) * tensor.double()
        average.update(step)
    expected["1.num_batches_tracked"] = torch.tensor(sum(range(1, 20)))
    with average.in_place():
        for name, tensor in model.state_dict().items():
            assert torch.allclose(tensor.double(), expected[name].double(), rtol=1e-5), name


def test_within_the_network_is_the_average_and_afterwards_itself_to_the_bit():
    model = network()
    average = MovingAverage(model, FlatParameters(model), decay=0.9)
    first = weights.digest(model.state_dict())
    moved(model, 3)
    second = weights.digest(model.state_dict())
    with average.in_place():
        state = {k: v for k, v in model.state_dict().items() if k != "1.num_batches_tracked"}
        assert weights.digest({**state, "1.num_batches_tracked": torch.tensor(0)}) == first
    assert weights.digest(model.state_dict()) == second


def test_the_network_gets_its_weights_back_after_an_error():
    model = network()
    average = MovingAverage(model, FlatParameters(model), decay=0.9)
    moved(model, 3)
    before = weights.digest(model.state_dict())
    with pytest.raises(ZeroDivisionError), average.in_place():
        _ = 1 / 0
    assert weights.digest(model.state_dict()) == before


def test_a_training_counts_its_steps_for_the_average():
    from etude.experiment import Train
    from etude.training.loop import Loop
    from etude.training.objective import Objective
    from etude.training.recipe import Recipe
    from tests.test_training import built, table

    part = table(60)
    loop = Loop(
        built(),
        part,
        part,
        Objective("classification", 2),
        Train(learning_rate=0.1),
        Recipe(average=0.9),
        seed=0,
    )
    expected = loop.flat.values.double().clone()
    for step in range(1, 6):
        loop.make_step(torch.arange(60))
        loop.progress.step += 1
        decay = (1 + step) / (10 + step)
        expected = decay * expected + (1 - decay) * loop.flat.values.double()
    with loop.kept_weights():
        assert torch.allclose(loop.flat.values.double(), expected, atol=1e-6)
