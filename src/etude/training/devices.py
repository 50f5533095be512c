"""Where a network is trained."""

from __future__ import annotations

from etude.errors import ExperimentError


def device_name(wanted: str) -> str:
    """``cpu``, ``cuda`` or ``mps``; auto: the first of cuda, mps, cpu that this machine has.

    Raises ExperimentError E110 when the one that is wanted is not there.
    """
    import torch

    if wanted == "cpu":
        return wanted
    there = [
        name
        for name, has in (("cuda", torch.cuda.is_available), ("mps", torch.backends.mps.is_available))
        if has()
    ]
    if wanted == "auto":
        return [*there, "cpu"][0]
    if wanted not in there:
        raise ExperimentError(
            "E110",
            "train.device must be one that this machine has",
            value=wanted,
            mend=f"choose {' or '.join([*there, 'cpu'])}, or auto",
        )
    return wanted
