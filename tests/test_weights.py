"""Weights survive the way to bytes and back, and their digest sees every change."""

import torch

from etude.training import weights


def state() -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    buffer = torch.randn(12, generator=draw)
    return {
        "b": buffer[:6].view(2, 3),
        "a": buffer[6:],
        "steps": torch.tensor(3),
        "mask": torch.tensor([True]),
    }


def test_tied_weights_are_written_under_both_names():
    tied = torch.arange(3.0)
    loaded = weights.from_bytes(weights.to_bytes({"in": tied, "out": tied}))
    assert torch.equal(loaded["in"], tied)
    assert torch.equal(loaded["out"], tied)


def test_bytes_give_every_tensor_back():
    loaded = weights.from_bytes(weights.to_bytes(state()))
    assert loaded.keys() == state().keys()
    for name, tensor in state().items():
        assert loaded[name].dtype == tensor.dtype
        assert torch.equal(loaded[name], tensor)


def test_the_digest_does_not_depend_on_order_or_memory_layout():
    original = state()
    reordered = {name: original[name] for name in reversed(original)}
    reordered["b"] = original["b"].t().contiguous().t()
    assert weights.digest(reordered) == weights.digest(original)
    assert weights.digest(weights.from_bytes(weights.to_bytes(original))) == weights.digest(original)


def test_the_digest_sees_a_name_a_shape_a_dtype_and_one_bit():
    original = state()
    one_bit = original["a"].clone()
    one_bit.view(torch.int32)[3] ^= 1
    zeros = torch.zeros(2, dtype=torch.int32)
    changed = [
        {**original, "a": one_bit},
        {**original, "b": original["b"].reshape(3, 2)},
        {("c" if name == "a" else name): tensor for name, tensor in original.items()},
        {**original, "zeros": zeros},
        {**original, "zeros": zeros.view(torch.float32)},
    ]
    digests = {weights.digest(s) for s in [original, *changed]}
    assert len(digests) == 6


def test_the_digest_is_the_one_that_older_versions_wrote():
    assert (
        weights.digest({"w": torch.arange(4, dtype=torch.float32).view(2, 2)})
        == "6bb333c6d8e0cf98d5c2e87ce314013cdf95858d48062096bfc9b7eea651c52d"
    )
