"""One attempt at a training: its checkpoints under ``.etude/checkpoints``, where a later attempt finds them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from etude.files import write_atomically
from etude.lease import held
from etude.sealed import sealed, unsealed
from etude.training.checkpoint import Checkpoints
from tasks import local_runs, recording
from tasks.held_signals import HeldSignals
from tasks.progress import listener
from tasks.run import Run


@dataclass(frozen=True)
class Attempt:
    """``checkpoints`` of this training alone; ``signals`` wait for its steps."""

    checkpoints: Checkpoints
    signals: HeldSignals

    def after_step(self) -> None:
        """Raises what the signal's handler raises; the trainer keeps a checkpoint of this step then."""
        if self.signals.waiting:
            listener().said("stops here and keeps a checkpoint: the same command goes on from this step")
            self.signals.deliver()


@contextmanager
def attempt(run: Run, key: str) -> Iterator[Attempt]:
    """The training with this step key, held by this process; its checkpoints are gone after a good end.

    ``run.fresh`` starts from the beginning. Raises HeldError E128 while another process trains the very same.
    """
    folder = Path(run.home) / "checkpoints" / key
    with held(
        folder.with_suffix(".lock"), "one process at a time trains the same experiment on the same data"
    ):
        if run.fresh:
            shutil.rmtree(folder, ignore_errors=True)
        earlier = _hand_over(folder, run)
        checkpoints = Checkpoints(folder, say=listener().said)

        def resumed(step: int, epochs: int) -> None:
            other = {} if earlier == run.run_id else {"resumed_from": earlier}
            recording.record_tags(run, {**other, "resumed_at_step": str(step)})
            where = "this run" if earlier == run.run_id else f"run {earlier}"
            listener().said(f"goes on after step {step:,} ({epochs} whole epochs), where {where} was stopped")

        checkpoints.on_resumed = resumed
        with HeldSignals() as signals:
            yield Attempt(checkpoints, signals)
        shutil.rmtree(folder, ignore_errors=True)


def _hand_over(folder: Path, run: Run) -> str:
    """The run that trained here before, in MLflow's words; ours is written down in its place."""
    path, earlier = folder / "run.json", run.local_id
    if path.exists():
        earlier = unsealed(path.read_bytes()) or earlier
    write_atomically(path, sealed(run.local_id))
    return local_runs.of(Path(run.home), earlier).run_id
