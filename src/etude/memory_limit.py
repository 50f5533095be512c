"""A bound on memory while a stranger's table is unpacked: a few bytes of it may claim to be terabytes."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager

SHARE = 0.8


@contextmanager
def limited_memory() -> Iterator[None]:
    """Within, the process may grow by four fifths of the memory that is free, not more: then MemoryError."""
    import psutil

    before = resource.getrlimit(resource.RLIMIT_AS)
    used = psutil.Process().memory_info().vms
    most = used + int(psutil.virtual_memory().available * SHARE)
    hard = before[1]
    try:
        resource.setrlimit(
            resource.RLIMIT_AS, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard)
        )
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
