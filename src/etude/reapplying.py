"""The flags of an earlier run, set again by public means; what cannot be had here is said.

Two moments: instructions are chosen by variables that torch's libraries read once, so they are set before torch is
imported; what torch itself is told is set around the rerun.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from etude.identity import SET

PRECISIONS = ("highest", "high", "medium")
CAPABILITY = "ATEN_CPU_CAPABILITY"
NEEDS = {"DEFAULT": set[str](), "AVX2": {"avx2", "fma"}}
"""What the processor must have before torch may be told so: on another it would die of an illegal instruction."""


def before_torch(identity: Mapping[str, Any]) -> list[str]:
    """Sets the variables that choose instructions as the recorded run had them; what was changed, in words.

    Does nothing once torch is imported, which has read them then.
    """
    if "torch" in sys.modules or "flags" not in identity:
        return []
    changed = [_set(name, identity["flags"].get(name)) for name in SET]
    capability = identity["fingerprint"].get("cpu_capability", "")
    if capability == best_capability():
        changed.append(_set(CAPABILITY, None))
    elif capability in NEEDS and NEEDS[capability] <= processor_flags():
        changed.append(_set(CAPABILITY, capability.lower()))
    return [said for said in changed if said]


def _set(name: str, value: str | None) -> str:
    """What was changed, in words; empty when it is so already."""
    if os.environ.get(name) == value:
        return ""
    if value is None:
        del os.environ[name]
        return f"{name} is not set, as in the first run"
    os.environ[name] = value
    return f"{name}={value}, as in the first run"


def best_capability() -> str:
    """What torch chooses on this x86 processor when nobody tells it."""
    found = processor_flags()
    if {"avx512f", "avx512bw", "avx512dq", "avx512vl", "fma"} <= found:
        return "AVX512"
    return "AVX2" if NEEDS["AVX2"] <= found else "DEFAULT"


def processor_flags() -> set[str]:
    """The instruction sets that the processor names; empty where there is no /proc/cpuinfo."""
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        return set()
    return next((set(line.partition(":")[2].split()) for line in lines if line.startswith("flags")), set())


def _one_of(known: tuple[str, ...], value: str | None, otherwise: str) -> str:
    return value if value in known else otherwise


@contextmanager
def reapplied(identity: Mapping[str, Any]) -> Iterator[list[str]]:
    """Within, torch is told what the recorded run told it; afterwards what it was told before. Gives what is not the
    same for all that. (Threads and deterministic algorithms belong to the experiment: every training sets them.)"""
    import torch

    flags = identity.get("flags", {})
    precision, mkldnn = torch.get_float32_matmul_precision(), torch.backends.mkldnn.enabled
    dtype = torch.get_default_dtype()
    torch.set_float32_matmul_precision(_one_of(PRECISIONS, flags.get("float32_matmul_precision"), precision))
    torch.backends.mkldnn.enabled = {"on": True, "off": False}.get(flags.get("mkldnn", ""), mkldnn)  # type: ignore[assignment]
    torch.set_default_dtype(torch.float64 if flags.get("default_dtype") == "torch.float64" else torch.float32)
    try:
        yield not_reapplied(identity)
    finally:
        torch.set_float32_matmul_precision(precision)
        torch.backends.mkldnn.enabled = mkldnn
        torch.set_default_dtype(dtype)


def not_reapplied(identity: Mapping[str, Any]) -> list[str]:
    """One sentence for each flag of the first run that this process cannot have."""
    from etude.identity import fingerprint, flags

    said = []
    before, now = identity.get("fingerprint", {}).get("cpu_capability"), fingerprint()["cpu_capability"]
    if before and before != now:
        why = (
            "torch had chosen already"
            if NEEDS.get(before, {before}) <= processor_flags()
            else "not on this processor"
        )
        said.append(f"the first run used the instructions {before}, this one {now}: {why}")
    recorded, here = identity.get("flags"), flags()
    if recorded is not None:
        said += [
            f"the first run had {name}={recorded.get(name, '')}, this one {here.get(name, '')}"
            for name in SET
            if recorded.get(name) != here.get(name)
        ]
    return said
