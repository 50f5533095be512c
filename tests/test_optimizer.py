"""AdamW over one buffer does what torch's does."""

import copy

import pytest
import torch

from etude.training.optimizer import ALIGNMENT, AdamW, FlatParameters


def network() -> torch.nn.Module:
    draw = torch.Generator().manual_seed(0)
    layers = [torch.nn.Linear(7, 5), torch.nn.Tanh(), torch.nn.Linear(5, 1)]
    for parameter in torch.nn.Sequential(*layers).parameters():
        torch.nn.init.normal_(parameter, generator=draw)
    return torch.nn.Sequential(*layers)


def gradients(model: torch.nn.Module, step: int) -> None:
    """Of very different sizes, now and then all zero."""
    draw = torch.Generator().manual_seed(step)
    for i, parameter in enumerate(model.parameters()):
        value = torch.randn(parameter.shape, generator=draw) * 10.0 ** (i - 3) * (step % 7 > 0)
        if parameter.grad is None:
            parameter.grad = value
        else:
            parameter.grad.copy_(value)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("weight_decay", [0.0, 0.01, 0.5])
def test_many_steps_equal_torchs_to_rounding(weight_decay):
    ours, theirs = network(), network()
    flat = FlatParameters(ours)
    optimizer = AdamW(flat, weight_decay)
    reference = torch.optim.AdamW(theirs.parameters(), lr=0.1, weight_decay=weight_decay)
    for step in range(500):
        learning_rate = 0.01 / (1 + step % 10)
        gradients(ours, step)
        optimizer.step(learning_rate)
        gradients(theirs, step)
        reference.param_groups[0]["lr"] = learning_rate
        reference.step()
    for mine, his in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(mine, his, rtol=1e-5, atol=1e-6)
    assert optimizer.steps == 500


def test_parameters_and_gradients_are_aligned_views_and_the_gaps_stay_zero():
    model = network()
    before = copy.deepcopy(model.state_dict())
    flat = FlatParameters(model)
    optimizer = AdamW(flat, 0.01)
    gap = torch.ones(len(flat.values), dtype=torch.bool)
    for parameter in model.parameters():
        assert parameter.data_ptr() % (4 * ALIGNMENT) == 0
        start = (parameter.data_ptr() - flat.values.data_ptr()) // 4
        assert (parameter.grad.data_ptr() - flat.gradients.data_ptr()) // 4 == start
        gap[start : start + parameter.numel()] = False
    assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in before.items())
    for _ in range(3):
        flat.gradients.zero_()
        model(torch.ones(4, 7)).sum().backward()
        optimizer.step(0.1)
    assert gap.any()
    assert not flat.values[gap].any()
    assert flat.values[~gap].all()


def test_release_gives_parameters_their_own_memory_and_no_gradient():
    model = network()
    flat = FlatParameters(model)
    values = [p.detach().clone() for p in model.parameters()]
    flat.release()
    flat.values.zero_()
    for parameter, value in zip(model.parameters(), values, strict=True):
        assert torch.equal(parameter, value)
        assert parameter.grad is None
        assert parameter.untyped_storage().nbytes() == 4 * parameter.numel()


def test_a_frozen_parameter_is_left_out():
    model = network()
    model[0].weight.requires_grad_(False)
    flat = FlatParameters(model)
    assert len(flat.values) == 3 * ALIGNMENT
    assert model[0].weight.grad is None
