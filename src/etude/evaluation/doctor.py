"""The doctor's verdict: what ails a training, with evidence and a remedy (skorch's SkorchDoctor draws the like)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from etude.verdicts import Verdict

MOSTLY_DEAD = 0.7  # of a layer's units; a healthy layer of a small table may lose a third
# First weights' gradients over the last's, before the first step; and the length of all of them in the first epoch.
VANISHING, EXPLODING = 1e-4, 1e3
GROWN = 30.0  # an epoch's gradients over the lowest before it
CONSTANT = 1e-3  # spread of the outputs over rows: logits, or parts of the target's standard deviation
MANY_SPIKES = 3
BARELY_MOVED, STOOD_STILL, FAR = 0.02, 0.002, 0.5  # weights' way over their norm
HARDLY_FELL = 0.1  # of the loss before the first step
# Of the loss at the start, or a constant's where that is higher: thrown above it, restless in the mean over epochs,
# risen above it without having learned. Of a constant's loss: what counts as learned, and as nothing.
THROWN, RESTLESS, DISTURBED = 1.7, 0.045, 1.1
LEARNED, NOTHING = 0.9, 0.97

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
    @property
    def looked_for_unused(self) -> bool: ...


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
        return Verdict("doctor", "healthy", f"Healthy: {', '.join(_looked_at(vitals))}.", {"findings": []})
    told = "; ".join(f"{f.ailment} ({f.evidence}): {f.remedy}" for f in found)
    evidence: dict[str, Any] = {"findings": [asdict(f) for f in found]}
    return Verdict("doctor", "ailing", f"{told[0].upper()}{told[1:]}.", evidence)


def _looked_at(vitals: Vitals) -> Iterator[str]:
    """What was found sound, of what there was to look at: a linear model has no units that could die."""
    if vitals.dead:
        yield f"at most {100 * max(vitals.dead.values()):.0f} % dead units in a layer"
    if len(vitals.start_gradients) > 1:
        yield "gradients flow"
    yield "no loss spikes"
    if vitals.looked_for_unused:
        yield "every input is used"


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
    weakest, strongest = _first_over_last(vitals)
    if strongest < VANISHING:
        yield Finding(
            "vanishing gradients",
            f"before the first step those of the first weights are {strongest:.1g} times the last's",
            "try fewer layers, network.kind: resnet or another network.init",
        )
    norms = np.array([e.gradient_norm for e in history])
    grown = norms / np.minimum.accumulate(norms).clip(min=1e-12)
    worst = int(grown.argmax()) if len(grown) else 0
    if weakest > EXPLODING:
        yield _exploding(
            f"before the first step those of the first weights are {weakest:.2g} times the last's"
        )
    elif len(norms) and norms[0] > EXPLODING:
        yield _exploding(f"their length is {norms[0]:.2g} in the first epoch")
    elif len(grown) and grown[worst] > GROWN and norms[worst] > 10:
        yield _exploding(
            f"they grew {grown[worst]:.0f}-fold to {norms[worst]:.3g} in epoch {history[worst].epoch}"
        )


def _first_over_last(vitals: Vitals) -> tuple[float, float]:
    """The smallest and the largest gradient in the first third of the weights, over the last's: a single matrix may
    have next to none in a sound network, as an attention's queries do while every token weighs the same.
    """
    sizes = list(vitals.start_gradients.values())
    if len(sizes) < 2 or sizes[-1] <= 0:
        return 1.0, 1.0
    first = sizes[: -(-len(sizes) // 3)]
    return min(first) / sizes[-1], max(first) / sizes[-1]


def _exploding(evidence: str) -> Finding:
    return Finding("exploding gradients", evidence, "try train.clip_norm: 1 and a smaller learning rate")


def _thrown_about(losses: NDArray[np.float64], start: float, constant: float | None) -> str:
    """What steps that are too large do to train loss; empty where they did not. Nothing is learned at a constant's
    loss; the highest of the two is where a training comes from.
    """
    constant = start if constant is None else constant
    level, learned = max(start, constant), losses.min() < LEARNED * constant
    came = f"train loss was {start:.3g} at the start"
    if losses.max() > THROWN * level:
        return f"{came} and {losses.max():.3g} after epoch {losses.argmax() + 1}"
    if len(losses) > 3 and np.maximum(np.diff(losses), 0).mean() > RESTLESS * level:
        return f"{came}, and rose and fell by {np.abs(np.diff(losses)).mean():.2g} from epoch to epoch"
    if learned and losses[-1] > NOTHING * constant:
        return f"{came}, fell to {losses.min():.3g} and is {losses[-1]:.3g} at the end, no better than a constant's"
    if losses.min() > NOTHING * constant and losses.max() > DISTURBED * level:
        return f"{came}, rose to {losses.max():.3g} and never was better than a constant's"
    return ""


def _of_losses(
    history: Sequence[Epoch], vitals: Vitals, stopped: str, learning_rate: float
) -> Iterator[Finding]:
    losses = np.array([e.train_loss for e in history])
    spikes = sum(e.loss_spikes for e in history)
    lower, higher = learning_rate / 10, learning_rate * 10
    thrown = _thrown_about(losses, vitals.start_loss, getattr(history[0], "constant_loss", None))
    if vitals.spread < CONSTANT and vitals.moved > FAR and not thrown:
        thrown = f"the weights moved by {100 * vitals.moved:.0f} % and every row got one output"
    if thrown and vitals.moved >= BARELY_MOVED:
        yield Finding("learning rate too high", thrown, f"try {lower:.2g}")
    if spikes >= MANY_SPIKES:
        yield Finding(
            "loss spikes",
            f"{spikes} steps had over three times the usual loss and over twice the first",
            f"try train.clip_norm: 1, warm-up, or a learning rate of {lower:.2g}",
        )
    fell = (vitals.start_loss - losses[-1]) / vitals.start_loss if vitals.start_loss > 0 else 1.0
    hardly = fell < HARDLY_FELL and stopped != "patience" and losses[-1] <= losses[0]
    # Where outputs could have moved and weights did not, a loss that wanders is that of batch norm's statistics.
    alive = vitals.spread >= CONSTANT and max(vitals.dead.values(), default=0.0) <= MOSTLY_DEAD
    if vitals.moved < BARELY_MOVED and (hardly or (alive and vitals.moved < STOOD_STILL)):
        yield Finding(
            "learning rate too low",
            f"the weights moved by {100 * vitals.moved:.2g} % and train loss fell by {100 * max(fell, 0):.1f} %",
            f"try {higher:.2g}",
        )
