"""The doctor's verdict: what ails a training, with evidence and a remedy (skorch's SkorchDoctor draws the like)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol

import numpy as np

from etude.verdicts import Verdict

MOSTLY_DEAD = 0.7  # of a layer's units; a healthy layer of a small table may lose a third
VANISHING, EXPLODING = 1e-4, 1e3  # first weights' gradients over the last's, before the first step
GROWN = 30.0  # an epoch's gradients over the lowest before it
CONSTANT = 1e-3  # spread of the outputs over rows: logits, or parts of the target's standard deviation
MANY_SPIKES = 3
BARELY_MOVED = 0.02  # weights' way over their norm
HARDLY_FELL = 0.1  # of the loss before the first step
RISES, LEAST_RISE = 0.3, 0.1  # share of the epochs in which train loss rose by this much

Ailment = Literal[
    "dead units", "vanishing gradients", "exploding gradients", "constant output", "loss spikes",
    "learning rate too high", "learning rate too low", "unused input",
]  # fmt: skip


class Epoch(Protocol):
    """What the doctor reads of an epoch."""

    @property
    def epoch(self) -> int: ...
    @property
    def train_loss(self) -> float: ...
    @property
    def gradient_norm(self) -> float: ...
    @property
    def loss_spikes(self) -> int: ...


class Vitals(Protocol):
    """What the doctor reads of the network; see ``etude.training.vitals``."""

    @property
    def start_loss(self) -> float: ...
    @property
    def start_gradients(self) -> Mapping[str, float]: ...
    @property
    def dead(self) -> Mapping[str, float]: ...
    @property
    def spread(self) -> float: ...
    @property
    def moved(self) -> float: ...
    @property
    def unused(self) -> Sequence[int]: ...
    @property
    def columns(self) -> int: ...


@dataclass(frozen=True)
class Finding:
    """``evidence`` and ``remedy`` are halves of a sentence."""

    ailment: Ailment
    evidence: str
    remedy: str


def diagnose(
    history: Sequence[Epoch],
    vitals: Vitals,
    *,
    stopped: str,
    learning_rate: float,
    columns: Sequence[str] = (),
) -> Verdict:
    """``healthy``, or ``ailing`` with every finding in the sentence and in ``evidence["findings"]``."""
    found = [
        *_of_units(vitals, columns),
        *_of_gradients(history, vitals),
        *_of_losses(history, vitals, stopped, learning_rate),
    ]
    if not found:
        dead = max(vitals.dead.values(), default=0.0)
        sentence = (
            f"Healthy: at most {100 * dead:.0f} % dead units in a layer, gradients flow, no loss spikes, every input "
            f"is used."
        )
        return Verdict("doctor", "healthy", sentence, {"findings": []})
    told = "; ".join(f"{f.ailment} ({f.evidence}): {f.remedy}" for f in found)
    evidence: dict[str, Any] = {"findings": [asdict(f) for f in found]}
    return Verdict("doctor", "ailing", f"{told[0].upper()}{told[1:]}.", evidence)


def _of_units(vitals: Vitals, columns: Sequence[str]) -> Iterator[Finding]:
    layer = max(vitals.dead, key=lambda name: vitals.dead[name], default="")
    if layer and vitals.dead[layer] > MOSTLY_DEAD:
        yield Finding(
            "dead units",
            f"{100 * vitals.dead[layer]:.0f} % of the units of {layer} say the same for every row",
            "try a smaller learning rate or network.init: kaiming",
        )
    if vitals.spread < CONSTANT:
        yield Finding(
            "constant output",
            f"outputs vary by {vitals.spread:.2g} over the rows",
            "look whether the columns say anything of the target, else try another learning rate",
        )
    elif vitals.unused:
        names = columns if len(columns) == vitals.columns else range(1, vitals.columns + 1)
        listed = ", ".join(str(names[column]) for column in vitals.unused[:5])
        yield Finding(
            "unused input",
            f"{len(vitals.unused)} of {vitals.columns} encoded columns change no output: {listed}",
            "leave them out with data.drop, or look whether the network reads them",
        )


def _of_gradients(history: Sequence[Epoch], vitals: Vitals) -> Iterator[Finding]:
    sizes = list(vitals.start_gradients.values())
    ratio = sizes[0] / sizes[-1] if len(sizes) > 1 and sizes[-1] > 0 else 1.0
    if ratio < VANISHING:
        yield Finding(
            "vanishing gradients",
            f"before the first step those of the first weights are {ratio:.1g} times the last's",
            "try fewer layers, network.kind: resnet or another network.init",
        )
    norms = np.array([e.gradient_norm for e in history])
    grown = norms / np.minimum.accumulate(norms).clip(min=1e-12)
    worst = int(grown.argmax()) if len(grown) else 0
    if ratio > EXPLODING:
        yield _exploding(f"before the first step those of the first weights are {ratio:.2g} times the last's")
    elif len(grown) and grown[worst] > GROWN and norms[worst] > 10:
        yield _exploding(
            f"they grew {grown[worst]:.0f}-fold to {norms[worst]:.3g} in epoch {history[worst].epoch}"
        )


def _exploding(evidence: str) -> Finding:
    return Finding("exploding gradients", evidence, "try train.clip_norm: 1 and a smaller learning rate")


def _of_losses(
    history: Sequence[Epoch], vitals: Vitals, stopped: str, learning_rate: float
) -> Iterator[Finding]:
    losses = np.array([e.train_loss for e in history])
    spikes = sum(e.loss_spikes for e in history)
    lower, higher = learning_rate / 10, learning_rate * 10
    rises = float(np.mean(losses[1:] > (1 + LEAST_RISE) * losses[:-1])) if len(losses) > 3 else 0.0
    above_start = losses.min() < vitals.start_loss / 2 and rises > RISES and losses[-1] > 2 * losses.min()
    if losses.min() > 1.02 * vitals.start_loss or above_start:
        yield Finding(
            "learning rate too high",
            f"train loss was {vitals.start_loss:.3g} at the start, {losses.min():.3g} at its lowest and "
            f"{losses[-1]:.3g} at the end, and rose in {100 * rises:.0f} % of the epochs",
            f"try {lower:.2g}",
        )
    elif spikes >= MANY_SPIKES:
        yield Finding(
            "loss spikes",
            f"{spikes} steps had over three times the usual loss and more than the first",
            f"try train.clip_norm: 1, warm-up, or a learning rate of {lower:.2g}",
        )
    fell = (vitals.start_loss - losses[-1]) / vitals.start_loss if vitals.start_loss > 0 else 1.0
    if (
        vitals.moved < BARELY_MOVED
        and fell < HARDLY_FELL
        and stopped != "patience"
        and losses[-1] <= losses[0]
    ):
        yield Finding(
            "learning rate too low",
            f"the weights moved by {100 * vitals.moved:.2g} % and train loss fell by {100 * max(fell, 0):.1f} %",
            f"try {higher:.2g}",
        )
