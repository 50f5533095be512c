"""Keeps a training's checkpoints while it goes on, and brings it back to the last one."""

from __future__ import annotations

from collections.abc import Callable

from etude.training.checkpoint import Checkpoints
from etude.training.epoch import Epoch
from etude.training.loop import Loop
from etude.training.replay import Replay
from etude.training.state import identity_of, restore, state_of


class Keeper:
    """Hears of every step and epoch of a loop. Without ``checkpoints`` it only asks ``after_step``."""

    def __init__(
        self,
        loop: Loop,
        checkpoints: Checkpoints | None,
        seed: int,
        after_step: Callable[[], None],
        while_measuring: Callable[[], None],
    ) -> None:
        self.loop, self.checkpoints = loop, checkpoints
        self.after_step, self.while_measuring = after_step, while_measuring
        self.identity = identity_of(loop, seed) if checkpoints else {}
        self.replay: Replay | None = None

    def resume(self) -> None:
        """The loop is where the newest sound checkpoint was, or at its beginning."""
        if self.checkpoints is None:
            return
        state = self.checkpoints.latest(self.identity)
        if state:
            restore(self.loop, state)
            self.checkpoints.on_resumed(self.loop.progress.step, len(self.loop.progress.history))
        self.replay = Replay(self.checkpoints.folder, {**self.checkpoints.identity, **self.identity})
        self.replay.begin(self.loop.progress.step, self.checkpoints.oldest_step)

    def planned(self) -> None:
        """What the clock decided before the first step is kept at once: another attempt would decide otherwise."""
        self._save()

    def step_made(self) -> None:
        progress = self.loop.progress
        if self.replay:
            self.replay.step(progress.step, *self.loop.last)
        if self.checkpoints and self.checkpoints.due(epoch_ended=False):
            self._save()
        self._ask(self.after_step)

    def part_measured(self) -> None:
        self._ask(self.while_measuring)

    def _ask(self, reason_to_stop: Callable[[], None]) -> None:
        """A moment at which all state is whole: what is raised here leaves a checkpoint behind."""
        try:
            reason_to_stop()
        except BaseException:
            self._save()
            raise

    def epoch_ended(self, epoch: Epoch) -> None:
        if self.checkpoints and (self.loop.stopped or self.checkpoints.due(epoch_ended=True)):
            self._save()

    def measured(self, epoch: Epoch) -> None:
        """Before anybody hears of the epoch: it must be the one that was announced before a crash."""
        if self.replay:
            self.replay.epoch(epoch.step, epoch.train_loss, epoch.validation_loss)

    def close(self) -> None:
        if self.replay:
            self.replay.close()

    def _save(self) -> None:
        if self.checkpoints is None or self.replay is None:
            return
        progress = self.loop.progress
        position = f"{progress.step:012d}-{len(progress.history):06d}"
        self.checkpoints.save(state_of(self.loop), position=position, identity=self.identity)
        self.replay.begin(progress.step, self.checkpoints.oldest_step)
