"""Dropout leaves out the share that was asked for, evenly, from its own generator."""

import pytest
import torch

from etude.networks.dropout import Dropout, draw_from


def dropout(share: float, seed: int = 0) -> Dropout:
    module = Dropout(share)
    draw_from(module, torch.Generator().manual_seed(seed))
    return module


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_each_of_the_four_lanes_drops_its_share_and_the_expectation_stays(share):
    out = dropout(share)(torch.ones(1000, 400))
    for lane in range(4):
        dropped = (out[:, lane::4] == 0).double().mean().item()
        assert dropped == pytest.approx(share, abs=5 * (share * (1 - share) / 100_000) ** 0.5)
    assert out.mean().item() == pytest.approx(1, abs=0.02)
    kept = out[out != 0]
    assert kept.min() == kept.max()
    assert kept[0].item() == pytest.approx(1 / (1 - share), rel=1e-4)


def test_units_are_dropped_independently_of_each_other():
    dropped = (dropout(0.5)(torch.ones(20_000, 8)) == 0).double()
    together = torch.corrcoef(dropped.t()) - torch.eye(8)
    assert together.abs().max() < 5 / 20_000**0.5


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (7,), (2, 3, 5), (0, 4)])
def test_any_number_of_units_is_served(shape):
    assert dropout(0.5)(torch.ones(shape)).shape == shape


def test_gradients_flow_through_the_units_that_were_kept():
    units = torch.full((50, 50), 2.0, requires_grad=True)
    out = dropout(0.3)(units)
    out.sum().backward()
    assert torch.equal(units.grad * 2, out.detach())


def test_evaluation_and_a_share_of_zero_return_the_very_input_and_draw_nothing():
    units = torch.ones(4, 4)
    evaluated, none = dropout(0.5).eval(), dropout(0.0)
    for module in (evaluated, none):
        before = module.generator.get_state()
        assert module(units) is units
        assert torch.equal(module.generator.get_state(), before)


def test_the_generator_alone_decides_and_the_global_one_is_left_alone():
    before = torch.get_rng_state()
    first = dropout(0.5, seed=4)(torch.ones(100))
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(3)
    assert torch.equal(dropout(0.5, seed=4)(torch.ones(100)), first)
    assert not torch.equal(dropout(0.5, seed=5)(torch.ones(100)), first)
    torch.set_rng_state(before)


def test_every_dropout_of_a_network_draws_from_the_one_generator_in_turn():
    network = torch.nn.Sequential(Dropout(0.5), torch.nn.Sequential(Dropout(0.5)))
    draw_from(network, torch.Generator().manual_seed(0))
    alone = dropout(0.5)
    expected = alone(alone(torch.ones(200)))
    assert torch.equal(network(torch.ones(200)), expected)


def test_training_without_a_generator_is_refused():
    with pytest.raises(RuntimeError, match="must have a generator"):
        Dropout(0.5)(torch.ones(3))


def test_a_share_next_to_one_keeps_finite_outputs():
    assert dropout(0.999999)(torch.ones(1000)).isfinite().all()
