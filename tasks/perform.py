"""How every task does its step: look in the store, else compute; ship the record either way; return the outputs."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter

from etude.experiment import Network, digest_of
from etude.identity import fingerprint
from etude.networks.own_source import source_digest
from etude.outcome import Outcome, Record
from etude.private import performed
from tasks import local_runs, recording
from tasks.progress import Done, listener
from tasks.run import Run
from tasks.step_sources import Sources, sources_of, versions

Outputs = TypeVar("Outputs")


def perform(
    run: Run,
    task: str,
    step: Callable[..., Outcome[Outputs]],
    *inputs: Any,
    live: dict[str, Any] | None = None,
    reusable: bool = True,
) -> Outputs:
    """The step's outputs. ``inputs`` make its key; ``live`` are listeners and the like, which do not.

    The record is written down whether the step ran or was found in the store under its key.
    """
    listener().started(task)
    started = time.perf_counter()
    private = run.experiment.data.private
    key = step_key(step, inputs, private=private) if reusable else ""
    outcome = _found(run, step, key) if reusable and not run.fresh else None
    if outcome is None:
        outcome = performed(step, run.store, *inputs, private=private, **(live or {}))
        if reusable:
            _keep(run, key, outcome)
    seconds = time.perf_counter() - started
    recording.record(run, _with_task_facts(task, outcome, seconds))
    record = outcome.record
    listener().done(
        Done(
            task,
            record.summary,
            seconds,
            outcome.reused_from,
            record.warnings,
            record.verdicts,
            dict(record.metrics),
        )
    )
    return outcome.outputs


def step_key(step: Callable[..., Any], inputs: tuple[Any, ...], *, private: bool = False) -> str:
    """sha256 over the step, its inputs, the library sources that it uses, the packages below them, the machine.

    ``private`` has a part in it because the record of a private table is another one (see ``etude.private``).
    """
    values = [TypeAdapter(type(value)).dump_python(value, mode="json") for value in inputs]
    sources = _sources(_library(), step.__module__, step.__name__)
    return digest_of(
        {
            "step": f"{step.__module__}.{step.__name__}",
            "inputs": values,
            "private": private,
            "own network": [source_digest(value.kind) for value in inputs if isinstance(value, Network)],
            "sources": sources.digest(),
            "packages": versions(sources.packages),
            "fingerprint": fingerprint(),
        }
    )


@cache
def _sources(library: Path, module: str, name: str) -> Sources:
    return sources_of(library, (module, name), (performed.__module__, performed.__name__))


def _library() -> Path:
    import etude

    return Path(etude.__file__).parent


def _keep(run: Run, key: str, outcome: Outcome[Any]) -> None:
    run.store.put_outcome(
        key,
        {
            "run_id": run.local_id,
            "digest": outcome.digest,
            "outputs": TypeAdapter(type(outcome.outputs)).dump_python(outcome.outputs, mode="json"),
            "record": TypeAdapter(Record).dump_python(outcome.record, mode="json"),
        },
    )


def _found(run: Run, step: Callable[..., Outcome[Outputs]], key: str) -> Outcome[Outputs] | None:
    kept = run.store.get_outcome(key)
    if kept is None:
        return None
    outputs = TypeAdapter(_outputs_type(step)).validate_python(kept["outputs"])
    record = TypeAdapter(Record).validate_python(kept["record"])
    return Outcome(
        outputs, record, kept["digest"], reused_from=local_runs.of(Path(run.home), kept["run_id"]).run_id
    )


def _outputs_type(step: Callable[..., Outcome[Outputs]]) -> type[Outputs]:
    """``Clean`` of a step that is annotated ``-> Outcome[Clean]``, found in the step's own module."""
    name = str(step.__annotations__["return"]).removeprefix("Outcome[").removesuffix("]")
    found: type[Outputs] = getattr(sys.modules[step.__module__], name)
    return found


def _with_task_facts(task: str, outcome: Outcome[Any], seconds: float) -> Record:
    record = outcome.record
    tags = dict(record.tags)
    if outcome.reused_from:
        tags[f"{task}.reused_from"] = outcome.reused_from
    if record.warnings:
        tags[f"{task}.warning"] = "; ".join(record.warnings)
    return replace(record, metrics={**record.metrics, f"{task}/seconds": seconds}, tags=tags)
