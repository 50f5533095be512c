"""The same row gets the same bits, and what torch was set to is set again."""

import pytest
import torch
from torch.utils import deterministic

from etude.experiment import Network
from etude.networks.build import build
from etude.networks.sizes import Sizes
from etude.training import inference


def network(kind: str, hidden: tuple[int, ...] = (33, 20), outputs: int = 3) -> torch.nn.Module:
    settings = Network(kind=kind, hidden=hidden, dropout=0.3)
    return build(settings, Sizes(13, (5, 40), outputs, "classification"), seed=1)


def rows(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(2)
    numbers = torch.randn(count, 13, generator=draw)
    return numbers, torch.stack([torch.randint(n, (count,), generator=draw) for n in (5, 40)], dim=1)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    ("kind", "hidden", "outputs"),
    [
        ("linear", (1,), 1),
        ("mlp", (33, 20), 3),
        ("mlp", (1,), 1),
        ("mlp", (256, 7), 1),
        ("mlp", (128, 128), 10),
    ],
)
def test_one_row_alone_gets_the_bits_that_it_gets_among_a_thousand(kind, hidden, outputs, threads):
    model, (numbers, categories) = network(kind, hidden, outputs), rows(1000)
    with inference.exact(threads):
        together = inference.predict(model, numbers, categories)
        for i in (0, 1, 255, 256, 300, 999):
            alone = inference.predict(model, numbers[i : i + 1], categories[i : i + 1])
            assert torch.equal(alone[0], together[i])
        shifted = inference.predict(model, numbers[17:], categories[17:])
    assert torch.equal(shifted, together[17:])


def test_every_block_has_256_rows_whatever_is_asked_for():
    heights = []
    model = network("mlp")
    model.register_forward_hook(lambda _, inputs, __: heights.append(len(inputs[0])))
    for count in (1, 256, 257, 600):
        assert inference.predict(model, *rows(count)).shape == (count, 3)
    assert heights == [256] * (1 + 1 + 2 + 3)


def test_the_padding_does_not_reach_the_outputs():
    model, (numbers, categories) = network("mlp"), rows(300)
    with torch.no_grad():
        expected = model.eval()(numbers, categories)
    assert torch.allclose(inference.predict(model, numbers, categories), expected, atol=1e-6)


def test_no_rows_give_an_empty_table_of_the_right_width():
    assert inference.predict(network("mlp"), *rows(0)).shape == (0, 3)


def test_dropout_is_off_and_the_network_keeps_its_mode():
    model = network("mlp")
    for training in (True, False):
        model.train(training)
        first, second = (inference.predict(model, *rows(40)) for _ in range(2))
        assert torch.equal(first, second)
        assert model.training is training


def test_outputs_can_be_used_with_autograd_afterwards():
    outputs = inference.predict(network("mlp"), *rows(3))
    scale = torch.ones(1, requires_grad=True)
    (outputs * scale).sum().backward()
    assert scale.grad is not None


def settings() -> tuple[int, int, bool]:
    mode = torch.get_deterministic_debug_mode()
    return mode, torch.get_num_threads(), deterministic.fill_uninitialized_memory


def seen_inside(threads: int, error: Exception | None = None) -> tuple[int, int, bool]:
    with inference.exact(threads):
        seen = settings()
        if error:
            raise error
    return seen


def test_exact_sets_threads_and_determinism_and_restores_both_even_after_an_error():
    threads = 2 if torch.get_num_threads() == 1 else 1
    mode = torch.get_deterministic_debug_mode()
    torch.set_deterministic_debug_mode("default" if mode else "warn")
    before = settings()
    assert seen_inside(threads) == (2, threads, False)
    assert settings() == before
    with pytest.raises(KeyError):
        seen_inside(threads, KeyError())
    assert settings() == before
    torch.set_deterministic_debug_mode(mode)


def test_exact_refuses_an_operation_without_a_deterministic_form():
    target, index = torch.zeros(3), torch.tensor([0, 0])
    with inference.exact(1), pytest.raises(RuntimeError, match="deterministic"):
        target.put_(index, torch.tensor([1.0, 2.0]), accumulate=False)
