"""What a network is built for: the shapes of its inputs and outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Sizes:
    """``forward(numbers float32[b, numbers], categories int64[b, len(cardinalities)])`` gives float32[b, outputs]:
    one logit a class, or the standardised value.

    Category i has codes 0 .. cardinalities[i] - 1; 0 is unknown or rare, 1 is missing. With ``image``, the first
    channels * height * width numbers are an image's cells in that order, row by row. ``embedded`` are the positions of
    numbers that are worth an embedding: measured values, not flags, parts of dates or directions of texts.
    """

    numbers: int
    cardinalities: tuple[int, ...]
    outputs: int
    task: Literal["classification", "regression"]
    image: tuple[int, int, int] | None = None
    embedded: tuple[int, ...] = ()

    @classmethod
    def from_json(cls, recorded: Mapping[str, Any]) -> Sizes:
        """The sizes of ``dataclasses.asdict`` after JSON; without a task more than one output means classes."""
        outputs = recorded["outputs"]
        image = recorded.get("image")
        return cls(
            recorded["numbers"],
            tuple(recorded["cardinalities"]),
            outputs,
            recorded.get("task") or ("classification" if outputs > 1 else "regression"),
            (image[0], image[1], image[2]) if image else None,
            tuple(recorded.get("embedded", ())),
        )
