"""Networks have the shapes that were asked for and draw their weights from named generators alone."""

import math

import pytest
import torch

from etude.errors import DataError
from etude.experiment import Network
from etude.networks import build as networks
from etude.networks import inputs
from etude.networks.dropout import Dropout
from etude.networks.sizes import Sizes
from etude.training import weights


def build(
    seed: int = 0, numbers: int = 6, cardinalities=(3, 8), outputs: int = 4, **settings
) -> torch.nn.Module:
    task = "classification" if outputs > 1 else "regression"
    return networks.build(
        Network(**{"kind": "mlp", **settings}), Sizes(numbers, tuple(cardinalities), outputs, task), seed
    )


def codes(cardinalities, count: int) -> torch.Tensor:
    draw = torch.Generator().manual_seed(3)
    columns = [torch.randint(n, (count,), generator=draw) for n in cardinalities]
    return torch.stack(columns, dim=1) if columns else torch.empty(count, 0, dtype=torch.int64)


@pytest.mark.parametrize("kind", ["mlp", "linear"])
@pytest.mark.parametrize(("numbers", "cardinalities"), [(6, (3, 8)), (6, ()), (0, (3, 8)), (1, (1,))])
@pytest.mark.parametrize("rows", [1, 5])
def test_outputs_have_a_row_for_every_row_and_every_weight_gets_a_gradient(
    kind, numbers, cardinalities, rows
):
    model = build(kind=kind, numbers=numbers, cardinalities=cardinalities, dropout=0)
    outputs = model(torch.ones(rows, numbers), codes(cardinalities, rows))
    assert outputs.shape == (rows, 4)
    assert outputs.dtype == torch.float32
    outputs.sum().backward()
    assert all(p.grad is not None and p.dtype == torch.float32 for p in model.parameters())


def test_hidden_layers_and_dropout_are_those_of_the_experiment():
    model = build(kind="mlp", hidden=(10, 20, 30), dropout=0.25)
    shapes = [tuple(m.weight.shape) for m in model.modules() if isinstance(m, torch.nn.Linear)]
    width = 6 + inputs.embedding_width(3) + inputs.embedding_width(8)
    assert shapes == [(10, width), (20, 10), (30, 20), (4, 30)]
    assert [m.dropped_levels / 65536 for m in model.modules() if isinstance(m, Dropout)] == [0.25] * 3


def test_the_linear_network_is_one_product_with_numbers_and_one_hot_categories():
    model = build(kind="linear")
    numbers, categories = torch.randn(20, 6, generator=torch.Generator().manual_seed(1)), codes((3, 8), 20)
    one_hot = torch.cat(
        [torch.nn.functional.one_hot(categories[:, i], n) for i, n in enumerate((3, 8))], dim=1
    )
    expected = numbers @ model.head.weight.t() + model.head.bias + one_hot.float() @ model.one_hot.weight
    assert torch.allclose(model(numbers, categories), expected, atol=1e-6)


@pytest.mark.parametrize(("cardinality", "width"), [(1, 2), (2, 2), (10, 6), (61, 16), (10**6, 16)])
def test_the_width_of_an_embedding_follows_the_stated_rule(cardinality, width):
    assert inputs.embedding_width(cardinality) == width


def test_the_seed_alone_decides_the_weights():
    state = torch.get_rng_state()
    first = weights.digest(build(seed=5).state_dict())
    torch.rand(7)
    second = weights.digest(build(seed=5).state_dict())
    assert first == second
    assert weights.digest(build(seed=6).state_dict()) != first
    torch.set_rng_state(state)


@pytest.mark.parametrize("kind", ["mlp", "linear"])
def test_building_leaves_the_global_generator_alone(kind):
    before = torch.get_rng_state()
    build(kind=kind)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_layer_keeps_its_weights_when_another_one_is_added():
    small, large = build(hidden=(16,)), build(hidden=(16, 16))
    assert torch.equal(small.blocks[0].weight, large.blocks[0].weight)


def test_layers_of_equal_shape_have_different_weights():
    first, second = (m for m in build(hidden=(16, 16, 16)).blocks[3:] if isinstance(m, torch.nn.Linear))
    assert not torch.isclose(first.weight, second.weight).all(dim=1).any()
    assert not torch.isclose(first.weight[:, 0], first.bias).all()


def test_initial_weights_spread_as_documented():
    model = build(numbers=400, cardinalities=(500,), hidden=(300,))
    first, table = model.blocks[0], model.inputs.embeddings[0].weight[2:]
    bound = 1 / math.sqrt(first.in_features)
    assert first.weight.abs().max() <= bound
    assert first.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.02)
    assert first.bias.abs().max() <= bound
    assert first.bias.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.1)
    assert table.std().item() == pytest.approx(1 / math.sqrt(table.shape[1]), rel=0.02)


def test_a_global_default_type_does_not_reach_the_weights():
    torch.set_default_dtype(torch.float64)
    try:
        model = build()
    finally:
        torch.set_default_dtype(torch.float32)
    assert {p.dtype for p in model.parameters()} == {torch.float32}


def test_no_column_at_all_is_refused_in_one_line():
    with pytest.raises(DataError) as caught:
        build(numbers=0, cardinalities=())
    assert str(caught.value) == "E120 at least one column must be left to learn from; see what encode dropped"
