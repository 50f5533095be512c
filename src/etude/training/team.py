"""One training in several processes: each takes its share of every batch, rank 0 adds the gradients up.

Rank 0 alone has an optimizer, measures, logs and writes checkpoints. The others are told the weights with every step,
so that they have no state to lose: rank 0's checkpoint is enough to go on. Dropout's draws are a function of rank and
step; batch norm takes each process' own rows, and rank 0's running statistics are kept (as DDP does).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, distributed

from etude.errors import EtudeError, ExperimentError
from etude.identity import code_digest, fingerprint
from etude.seeds import derived
from etude.training.backward import Backward
from etude.training.exchange import Message, RankLostError, added_up, shape_of, shared, tell, tell_description
from etude.training.optimizer import FlatParameters

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from etude.experiment import Network, Train
    from etude.networks.sizes import Sizes


@dataclass(frozen=True)
class Blueprint:
    """What another process builds the same network from."""

    network: Network
    sizes: Sizes
    seed: int


@dataclass(frozen=True)
class Team:
    """Rank 0's view of the ``size`` processes. All methods raise RankLostError."""

    size: int
    blueprint: Blueprint

    def begin(self, backward: Backward) -> None:
        """All get the network as it is now and the train rows."""
        tell_description("train", self._description(backward))
        for tensor in (backward.train.numbers, backward.train.categories, backward.train.target):
            shared(tensor)
        for tensor in (*backward.network.parameters(), *backward.network.buffers()):
            shared(tensor.detach())

    def gradients(
        self, backward: Backward, flat: FlatParameters, generator: torch.Generator, batch: Tensor, step: int
    ) -> float:
        """The batch's mean loss; the gradients are those of one process with the whole batch, to rounding."""
        tell(Message("step", step, len(batch)))
        shared(batch)
        for tensor in (flat.values, *backward.network.buffers()):
            shared(tensor)
        generator.manual_seed(dropout_seed(self.blueprint.seed, 0, step))
        loss = torch.tensor(backward(share(batch, 0, self.size), len(batch)), dtype=torch.float64)
        added_up(flat.gradients)
        added_up(loss)
        return loss.item()

    def _description(self, backward: Backward) -> dict[str, Any]:
        return {
            "network": self.blueprint.network.model_dump(mode="json"),
            "sizes": asdict(self.blueprint.sizes),
            "seed": self.blueprint.seed,
            "settings": backward.settings.model_dump(mode="json"),
            "task": backward.objective.task,
            "outputs": backward.objective.outputs,
            "part": shape_of(backward.train),
            "same": surroundings(),
        }


def share(batch: Tensor, rank: int, size: int) -> Tensor:
    """The rows of ``batch`` that ``rank`` takes: all take as many, the first ones one more where it does not come out
    even; none where there are fewer rows than processes.
    """
    return torch.tensor_split(batch, size)[rank]


def dropout_seed(seed: int, rank: int, step: int) -> int:
    """Of the masks of one step in one process."""
    return derived(seed, f"train/dropout/{rank}/{step}")


def surroundings() -> dict[str, Any]:
    """What must be the same in every process: Etude's sources, torch's build, the CPU's capability."""
    return {"code": code_digest(), **fingerprint()}


def gathered(settings: Train, blueprint: Blueprint) -> AbstractContextManager[Team | None]:
    """The processes that ``train.processes`` asks for: those of torchrun where it started this one, else new ones.

    None for one process alone. Raises ExperimentError E104 or E110 for what cannot be shared, EtudeError E117 when a
    process ends before the training does.
    """
    return nullcontext() if settings.processes == 1 else _several(settings, blueprint)


@contextmanager
def _several(settings: Train, blueprint: Blueprint) -> Iterator[Team]:
    from etude.training.started import started

    if settings.device not in ("cpu", "auto"):
        raise ExperimentError(
            "E110",
            "train.processes above 1 trains on the CPU",
            value=settings.device,
            mend="set train.device: cpu",
        )
    try:
        with nullcontext() if distributed.is_initialized() else started(settings.processes):
            size = distributed.get_world_size()
            if size != settings.processes:
                what = f"train.processes must be {size}, as many as torchrun started"
                raise ExperimentError("E104", what, value=settings.processes)
            yield Team(size, blueprint)
            tell(Message("trained"))
    except RankLostError as error:
        raise EtudeError(
            "E117",
            "every process of a training must live until its end",
            value=str(error) or "one of them is gone",
            mend="the same command goes on from the last checkpoint",
        ) from error
