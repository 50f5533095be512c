"""A verdict: a judgement in one word and one sentence, with the evidence that it rests on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Verdict:
    """``verdict`` is one word, ``sentence`` what a colleague would say, ``evidence`` plain JSON values."""

    name: str
    verdict: str
    sentence: str
    evidence: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        """The form in which every command prints a verdict, filed there under its ``name``."""
        return {"verdict": self.verdict, "sentence": self.sentence, "evidence": dict(self.evidence)}
