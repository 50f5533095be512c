"""What the processes of one training say to each other, by torch.distributed alone: rank 0 speaks, all answer.

A message is three integers; what follows it depends on its kind. Gloo adds up in the same order every time, so that
the same processes give the same bits.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, distributed

from etude.training.objective import Part

LONGEST_SILENCE = timedelta(days=1)  # while rank 0 measures an epoch nobody hears of it
KINDS: tuple[Literal["train", "step", "trained", "end"], ...] = ("train", "step", "trained", "end")
TYPES = (torch.float32, torch.int64)


class Message(NamedTuple):
    """``train``: a description of ``first`` bytes follows, and the train part. ``step``: number ``first``, the
    positions of ``second`` rows and the weights follow. ``trained``: another training may come. ``end``: none will.
    """

    kind: Literal["train", "step", "trained", "end"]
    first: int = 0
    second: int = 0


class RankLostError(RuntimeError):
    """Another process of the training is gone."""


def tell(message: Message) -> None:
    """To all other ranks. Raises RankLostError, as all functions here do."""
    shared(torch.tensor([KINDS.index(message.kind), message.first, message.second]))


def heard() -> Message:
    """What rank 0 said next."""
    kind, first, second = shared(torch.zeros(3, dtype=torch.int64)).tolist()
    return Message(KINDS[kind], first, second)


def shared(tensor: Tensor) -> Tensor:
    """The tensor with the values that it has in rank 0."""
    try:
        distributed.broadcast(tensor, 0)
    except RuntimeError as error:
        raise RankLostError from error
    return tensor


def added_up(tensor: Tensor) -> None:
    """In rank 0 the sum over all ranks; in the others nothing that may be used."""
    try:
        distributed.reduce(tensor, 0)
    except RuntimeError as error:
        raise RankLostError from error


def tell_description(kind: Literal["train"], description: Mapping[str, Any]) -> None:
    """A message of ``kind`` and plain JSON behind it."""
    content = json.dumps(description).encode()
    tell(Message(kind, len(content)))
    shared(torch.tensor(list(content), dtype=torch.uint8))


def heard_description(message: Message) -> dict[str, Any]:
    """The JSON behind ``message``."""
    content = shared(torch.zeros(message.first, dtype=torch.uint8))
    description: dict[str, Any] = json.loads(bytes(content.tolist()))
    return description


def shape_of(part: Part) -> list[dict[str, Any]]:
    """What ``empty`` makes the same part of, without its values."""
    return [
        {"shape": list(t.shape), "type": TYPES.index(t.dtype)}
        for t in (part.numbers, part.categories, part.target)
    ]


def empty(shapes: Sequence[Mapping[str, Any]]) -> Part:
    """A part of these shapes, ready to be filled."""
    return Part(*(torch.zeros(s["shape"], dtype=TYPES[s["type"]]) for s in shapes))
