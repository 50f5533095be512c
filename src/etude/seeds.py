"""Randomness by name: one seed in the experiment, one generator for every use.

A generator depends on the seed and on the name alone, so that a new use of randomness
moves no other draw. The names in use are listed in ``docs/design.md``.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy
    import torch


def derived(seed: int, name: str) -> int:
    """A 63-bit seed: the head of sha256 over ``seed`` and ``name``; equal on every machine and version."""
    head = hashlib.sha256(f"{seed}/{name}".encode()).digest()[:8]
    return int.from_bytes(head, "little") >> 1


def numpy_generator(seed: int, name: str) -> numpy.random.Generator:
    """NumPy's PCG64 seeded from ``seed`` and ``name``."""
    from numpy.random import PCG64, Generator

    return Generator(PCG64(derived(seed, name)))


def torch_generator(seed: int, name: str, device: str = "cpu") -> torch.Generator:
    """torch's generator (on the CPU a Mersenne twister) seeded from ``seed`` and ``name``."""
    from torch import Generator

    return Generator(device).manual_seed(derived(seed, name))
