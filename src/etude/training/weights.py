"""A network's weights as bytes, and the digest that names them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def to_bytes(state: Mapping[str, torch.Tensor]) -> bytes:
    """safetensors with every tensor of ``state`` (parameters and buffers); ``from_bytes`` gives them back."""
    from safetensors.torch import save

    # Parameters may be views of one buffer, and safetensors refuses tensors that share memory.
    return bytes(save({name: tensor.detach().clone().contiguous() for name, tensor in state.items()}))


def from_bytes(content: bytes) -> dict[str, torch.Tensor]:
    """The tensors that ``to_bytes`` was given, by name."""
    from safetensors.torch import load

    tensors: dict[str, torch.Tensor] = load(content)
    return tensors


def digest(state: Mapping[str, torch.Tensor]) -> str:
    """sha256 over names, dtypes, shapes and bytes, by name; equal states have equal digests, whatever their order."""
    sha256 = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach()
        sha256.update(f"{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        sha256.update(_bytes_of(tensor))
    return sha256.hexdigest()


def _bytes_of(tensor: torch.Tensor) -> memoryview:
    """Without a copy of what lies in one piece already: a train part may fill half of the memory."""
    import torch

    return tensor.cpu().contiguous().flatten().view(torch.uint8).numpy().data
