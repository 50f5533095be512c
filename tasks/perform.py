"""How every task does its step: look in the store, else compute; ship the record either way; return the outputs."""

from __future__ import annotations

import ast
import hashlib
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter

from etude.experiment import Network, digest_of
from etude.identity import fingerprint
from etude.networks.own_source import source_digest
from etude.outcome import Outcome, Point, Record
from etude.private import performed
from etude.store import Ref
from tasks import tracking
from tasks.progress import Done, listener
from tasks.run import Run

Outputs = TypeVar("Outputs")
STANDS_ON = (
    "torch",
    "numpy",
    "pandas",
    "pyarrow",
    "scikit-learn",
    "scipy",
    "safetensors",
    "matplotlib",
    "tabm",
    "rtdl-num-embeddings",
    "rtdl-revisiting-models",
)


def perform(
    run: Run,
    task: str,
    step: Callable[..., Outcome[Outputs]],
    *inputs: Any,
    live: dict[str, Any] | None = None,
    shipped: set[Point] | None = None,
    reusable: bool = True,
) -> Outputs:
    """The step's outputs. ``inputs`` make its key; ``live`` are listeners and the like, which do not.

    The record reaches MLflow whether the step ran or was found in the store under its key.
    """
    listener().started(task)
    started = time.perf_counter()
    key = step_key(step, inputs) if reusable else ""
    outcome = _found(run, step, key) if reusable and not run.fresh else None
    if outcome is None:
        outcome = performed(step, run.store, *inputs, private=run.experiment.data.private, **(live or {}))
        if reusable:
            _keep(run, key, outcome)
    seconds = time.perf_counter() - started
    tracking.ship(run, _with_task_facts(task, outcome, seconds), frozenset(shipped or ()))
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


def step_key(step: Callable[..., Any], inputs: tuple[Any, ...]) -> str:
    """sha256 over the step, its inputs, the library sources that it stands on, the packages below them, the machine."""
    values = [TypeAdapter(type(value)).dump_python(value, mode="json") for value in inputs]
    return digest_of(
        {
            "step": f"{step.__module__}.{step.__name__}",
            "inputs": values,
            "own network": [source_digest(value.kind) for value in inputs if isinstance(value, Network)],
            "sources": _sources_digest(step.__module__),
            "packages": {name: version(name) for name in STANDS_ON},
            "fingerprint": fingerprint(),
        }
    )


@cache
def _sources_digest(module: str) -> str:
    """sha256 over the sources of ``module``, of every etude module that it imports (directly or not), and templates."""
    together = hashlib.sha256()
    for name, source in sorted((_closure(module) | templates()).items()):
        together.update(name.encode() + b"\0" + source + b"\0")
    return together.hexdigest()


def templates() -> dict[str, bytes]:
    """The library's files that are no modules, by name."""
    import etude

    return {path.name: path.read_bytes() for path in Path(etude.__file__).parent.glob("report/templates/*")}


def _closure(module: str) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        path = _source_file(name) if name not in found else None
        if path is not None:
            found[name] = path.read_bytes()
            waiting += _imported(found[name])
    return found


@cache
def _imported(source: bytes) -> list[str]:
    """What a source imports from etude, also inside functions: modules, and names that may be modules."""
    names = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return [name for name in names if name.split(".")[0] == "etude"]


def _source_file(module: str) -> Path | None:
    """Where a module of etude stands; None if there is none. (``find_spec`` would import its parents.)"""
    import etude

    stem = Path(etude.__file__).parent.joinpath(*module.split(".")[1:])
    return next((p for p in (stem.with_suffix(".py"), stem / "__init__.py") if p.is_file()), None)


def _keep(run: Run, key: str, outcome: Outcome[Any]) -> None:
    run.store.put_outcome(
        key,
        {
            "run_id": run.run_id,
            "digest": outcome.digest,
            "outputs": TypeAdapter(type(outcome.outputs)).dump_python(outcome.outputs, mode="json"),
            "record": TypeAdapter(Record).dump_python(outcome.record, mode="json"),
        },
    )


def _found(run: Run, step: Callable[..., Outcome[Outputs]], key: str) -> Outcome[Outputs] | None:
    kept = run.store.get_outcome(key)
    if kept is None or not all(run.store.holds(ref) for ref in _refs(kept)):
        return None
    outputs = TypeAdapter(_outputs_type(step)).validate_python(kept["outputs"])
    record = TypeAdapter(Record).validate_python(kept["record"])
    return Outcome(outputs, record, kept["digest"], reused_from=kept["run_id"])


def _refs(value: Any) -> Iterator[Ref]:
    """Every reference into the store within a kept outcome."""
    if isinstance(value, dict) and value.keys() == {"sha256", "size"}:
        yield Ref(**value)
    elif isinstance(value, dict):
        yield from (ref for item in value.values() for ref in _refs(item))
    elif isinstance(value, list):
        yield from (ref for item in value for ref in _refs(item))


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
