"""What a network says, in the same bits whoever asks and however many rows are asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

BLOCK_ROWS = 256


@contextmanager
def exact(threads: int) -> Iterator[None]:
    """Deterministic algorithms alone and ``threads`` CPU threads; what was set before is set again.

    An operation without a deterministic form raises RuntimeError.
    """
    import torch
    from torch.utils import deterministic

    mode, count = torch.get_deterministic_debug_mode(), torch.get_num_threads()
    fill = deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    # Not use_deterministic_algorithms: in torch 2.13 it imports torch._dynamo (over a second).
    torch.set_deterministic_debug_mode("error")
    torch.set_num_threads(threads)
    # Filling every new tensor with NaN would double the cost of index_select; nothing here reads unwritten memory.
    deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    try:
        yield
    finally:
        torch.set_deterministic_debug_mode(mode)
        torch.set_num_threads(count)
        deterministic.fill_uninitialized_memory = fill  # type: ignore[attr-defined]


def predict(network: torch.nn.Module, numbers: torch.Tensor, categories: torch.Tensor) -> torch.Tensor:
    """The network's outputs (logits or values), float32[rows, outputs], without dropout.

    Always in blocks of 256 rows, the last one filled up with zeros: matrix products of another height give
    other last bits, so only this way one row alone gets the bits that it gets among a thousand.
    """
    import torch

    was_training = network.training
    network.eval()
    try:
        with torch.inference_mode():
            blocks = [
                network(_block(numbers, start), _block(categories, start))
                for start in range(0, max(len(numbers), 1), BLOCK_ROWS)
            ]
            outputs = torch.cat(blocks)[: len(numbers)]
    finally:
        network.train(was_training)
    # A normal tensor again: one made in inference mode could not be used with autograd.
    return outputs.clone()


def _block(rows: torch.Tensor, start: int) -> torch.Tensor:
    block = rows[start : start + BLOCK_ROWS]
    if len(block) == BLOCK_ROWS:
        return block
    filled = rows.new_zeros((BLOCK_ROWS, *rows.shape[1:]))
    filled[: len(block)] = block
    return filled
