"""Every kind of network keeps the house's promises: named draws, a row's bits in any company, one row in a batch."""

import subprocess
import sys

import pytest
import torch

from etude.errors import ExperimentError
from etude.experiment import Network, Train
from etude.networks.build import build, parameter_count
from etude.networks.sizes import Sizes
from etude.training import fitting, inference, weights
from etude.training.objective import Part

SIZES = Sizes(6, (5, 9), 3, "classification", embedded=(0, 1, 4))
IMAGE = Sizes(66, (5,), 3, "classification", image=(1, 8, 8))
KINDS = [
    ({"kind": "mlp", "numbers": "piecewise"}, SIZES),
    ({"kind": "mlp", "numbers": "periodic"}, SIZES),
    ({"kind": "tabm", "numbers": "piecewise", "hidden": (24, 24), "members": 4}, SIZES),
    ({"kind": "resnet", "hidden": (24, 24)}, SIZES),
    ({"kind": "ft_transformer", "hidden": (16,)}, SIZES),
    ({"kind": "cnn", "hidden": (8, 16)}, IMAGE),
    ({"kind": "linear"}, SIZES),
]
NAMES = [" ".join(str(value) for key, value in settings.items() if key != "hidden") for settings, _ in KINDS]


def part(sizes: Sizes, rows: int, seed: int = 0) -> Part:
    draw = torch.Generator().manual_seed(seed)
    numbers = torch.randn(rows, sizes.numbers, generator=draw)
    columns = [torch.randint(n, (rows,), generator=draw) for n in sizes.cardinalities]
    target = (numbers[:, 0] > 0).long() + (numbers[:, 1] > 0.5).long()
    return Part(numbers, torch.stack(columns, dim=1), target)


def fitted(settings, sizes: Sizes, train: Part, **extra) -> tuple[torch.nn.Module, fitting.Fitted]:
    network = build(Network(**settings), sizes, seed=3)
    found = fitting.fit(
        network,
        train,
        part(sizes, 70, seed=1),
        task="classification",
        outputs=3,
        settings=Train(**{"epochs": 2, "batch_size": 16, "learning_rate": 0.01, **extra}),
        seed=3,
    )
    return network, found


@pytest.mark.parametrize(("settings", "sizes"), KINDS, ids=NAMES)
def test_training_draws_from_named_generators_alone_and_repeats_to_the_bit(settings, sizes):
    before = torch.get_rng_state()
    _, first = fitted(settings, sizes, part(sizes, 60))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(99)
    _, again = fitted(settings, sizes, part(sizes, 60))
    torch.set_rng_state(before)
    assert weights.digest(again.last) == weights.digest(first.last)
    assert weights.digest(first.last) != first.initial_digest


@pytest.mark.parametrize(("settings", "sizes"), KINDS, ids=NAMES)
def test_one_row_alone_gets_the_bits_that_it_gets_in_a_block(settings, sizes):
    network, _ = fitted(settings, sizes, part(sizes, 60))
    rows = part(sizes, 300, seed=2)
    with inference.exact(1):
        together = inference.predict(network, rows.numbers, rows.categories)
        assert together.shape == (300, 3)
        for i in (0, 77, 255, 299):
            alone = inference.predict(network, rows.numbers[i : i + 1], rows.categories[i : i + 1])
            assert torch.equal(alone[0], together[i])


@pytest.mark.parametrize(("settings", "sizes"), KINDS, ids=NAMES)
def test_weights_loaded_into_a_new_network_give_the_same_outputs(settings, sizes):
    network, found = fitted(settings, sizes, part(sizes, 60))
    other = build(Network(**settings), sizes, seed=8)
    other.load_state_dict(weights.from_bytes(weights.to_bytes(found.best)))
    rows = part(sizes, 20, seed=2)
    with inference.exact(1):
        assert torch.equal(*(inference.predict(n, rows.numbers, rows.categories) for n in (network, other)))


@pytest.mark.parametrize(("settings", "sizes"), KINDS, ids=NAMES)
def test_a_last_batch_of_one_row_is_trained_on(settings, sizes):
    _, found = fitted(settings, sizes, part(sizes, 17), epochs=1)
    assert found.history[0].step == 2


@pytest.mark.parametrize(("settings", "sizes"), KINDS, ids=NAMES)
def test_a_network_starts_from_the_base_rate(settings, sizes):
    network = build(Network(**settings), sizes, seed=3)
    train = part(sizes, 60)
    rate = torch.tensor([0.5, -1.0, 2.0])
    from etude.networks.start import start_from

    start_from(network, train.numbers, rate)
    assert torch.equal(network.head.bias.expand(4, 3)[-1], rate)


@pytest.mark.parametrize(("settings", "sizes"), KINDS, ids=NAMES)
@pytest.mark.parametrize("init", ["torch", "kaiming", "xavier", "orthogonal"])
def test_an_initialisation_by_name_reaches_the_layers(settings, sizes, init):
    plain = weights.digest(build(Network(**settings), sizes, seed=3).state_dict())
    named = build(Network(**settings, init=init), sizes, seed=3)
    assert (weights.digest(named.state_dict()) == plain) == (init == "torch")
    assert all(p.isfinite().all() for p in named.parameters())


def test_initialisations_have_the_spread_of_their_papers():
    def first(init: str) -> torch.Tensor:
        settings = Network(kind="mlp", hidden=(300,), init=init)
        network = build(settings, Sizes(400, (), 2, "classification"), seed=0)
        assert init == "torch" or not network.blocks[0].bias.any()
        return network.blocks[0].weight

    assert first("kaiming").std().item() == pytest.approx((2 / 400) ** 0.5, rel=0.02)
    assert first("xavier").abs().max().item() == pytest.approx((6 / 700) ** 0.5, rel=0.001)
    rows = first("orthogonal")
    assert torch.allclose(rows @ rows.T, torch.eye(300), atol=1e-4)


def test_an_unknown_and_a_missing_category_say_nothing_before_training():
    network = build(Network(kind="tabm"), SIZES, seed=0)
    for table in network.inputs.embeddings:
        assert not table.weight[:2].any()
        assert table.weight[2:].all()


def test_members_are_trained_one_by_one_and_their_probabilities_are_averaged():
    network = build(Network(kind="tabm", members=4, dropout=0), SIZES, seed=0)
    rows = part(SIZES, 10)
    members = network.train()(rows.numbers, rows.categories)
    assert members.shape == (10, 4, 3)
    mean = network.eval()(rows.numbers, rows.categories).softmax(dim=1)
    assert torch.allclose(mean, members.softmax(dim=2).mean(dim=1), atol=1e-6)


def test_piecewise_bins_follow_the_train_rows_and_stay_silent_where_values_repeat():
    network = build(Network(kind="mlp", numbers="piecewise"), SIZES, seed=0)
    numbers = part(SIZES, 500).numbers
    numbers[:, 1] = numbers[:, 1].sign()
    network.inputs.look_at(numbers)
    encoded = network.inputs.numbers.impl(numbers[:, [0, 1, 4]])
    assert encoded.isfinite().all()
    assert encoded[:, 0].amin() > -1e-6
    assert encoded[:, 0].amax() < 1 + 1e-6
    assert len(encoded[:, 1].unique(dim=0)) == 2
    assert len(encoded[:, 0].unique(dim=0)) == 500


def test_a_cnn_has_sizes_from_the_shape_and_needs_pixels():
    small = build(Network(kind="cnn", hidden=(8, 16)), Sizes(64, (), 2, "classification", (1, 8, 8)), seed=0)
    large = build(
        Network(kind="cnn", hidden=(8, 16)), Sizes(3 * 32 * 20, (), 2, "classification", (3, 32, 20)), seed=0
    )
    assert small.head.in_features == 16 * 2 * 2
    assert large.head.in_features == 16 * 8 * 5
    with pytest.raises(ExperimentError, match=r"E109 network\.kind: cnn needs a block of pixel columns"):
        build(Network(kind="cnn"), SIZES, seed=0)


def test_the_parameter_count_is_of_what_training_moves():
    assert parameter_count(build(Network(kind="linear"), Sizes(4, (3,), 2, "classification"), 0)) == 10 + 6


def test_a_plain_network_imports_none_of_the_authors_packages():
    code = (
        "import sys; from etude.networks.build import build; from etude.networks.sizes import Sizes;"
        "from etude.experiment import Network;"
        "build(Network(kind='mlp'), Sizes(3, (4,), 1, 'regression'), 0);"
        "found = {'tabm', 'rtdl_num_embeddings', 'rtdl_revisiting_models', 'sklearn'} & set(sys.modules);"
        "assert not found, found"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
