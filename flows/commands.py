"""What the commands do, one function each. Imported by a command when it runs, never for ``--help``."""

from __future__ import annotations

import os
import shlex
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from etude import experiment_file
from etude.errors import ExperimentError, nearest
from etude.home import home
from flows.terminal import console, print_result, safe, shown_on

if TYPE_CHECKING:
    from collections.abc import Callable

    from etude.experiment import Data, Experiment
    from etude.outcome import Outcome
    from etude.steps.clean import Cleaned
    from etude.steps.collect import Collected
    from etude.steps.split import Parts
    from etude.store import Store
    from tasks.result import RunResult


def run_experiment(file: Path, overrides: tuple[str, ...], *, fresh: bool, as_json: bool) -> RunResult:
    """Trains the experiment of ``file`` in the flow ``train``."""
    experiment = _with_all_ranks(experiment_file.load(file, overrides))
    check_source(experiment, file)
    from etude.training import torchrun
    from tasks.prefect_api import start_early

    start_early(home() / "prefect")  # its start overlaps with the imports below
    out = console(json=as_json)
    from flows.train import train

    with shown_on(out), torchrun.leading():
        result = train(experiment, folder=str(file.parent.absolute()), fresh=fresh)
    print_result(out, result, _run_command(file, overrides))
    return result


def _with_all_ranks(experiment: Experiment) -> Experiment:
    """With as many processes as torchrun started, if it started this one. Raises ExperimentError E104."""
    from etude.training import torchrun

    size, settings = torchrun.world_size(), experiment.train
    if size == 1:
        return experiment
    if settings.processes not in (1, size):
        what = f"train.processes must be {size}, as many as torchrun started"
        raise ExperimentError("E104", what, value=settings.processes, mend="leave it out")
    return experiment.model_copy(update={"train": settings.model_copy(update={"processes": size})})


def _run_command(file: Path, overrides: tuple[str, ...]) -> str:
    """What to type, as a shell reads it."""
    return shlex.join(["etude", "run", str(file), *(word for o in overrides for word in ("--set", o))])


def check_source(experiment: Experiment, file: Path) -> None:
    """Sources that are paths must exist: that is an error of the file, and leaves no run."""
    _check_path("data.source", experiment.data.source, file)
    if experiment.data.test is not None:
        _check_path("data.test", experiment.data.test, file)
    if experiment.data.expect is not None:
        from etude.expectations.schema_file import load

        load(file.parent / experiment.data.expect)


def _check_path(key: str, source: str, file: Path) -> None:
    if ":" in source.partition("/")[0] or any(c in source for c in "*?["):
        return
    path = file.parent / source
    if not path.exists() and not path.is_symlink():
        there = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        raise ExperimentError(
            "E001",
            f"{key} must exist (a path is relative to the experiment file)",
            where=str(file),
            value=source,
            mend=nearest(path.name, sorted(there)),
        )


def check_experiment(
    file: Path, overrides: tuple[str, ...], *, write_schema: Path | None = None, as_json: bool
) -> dict[str, Any]:
    """Collect to encode without a run: what the columns are, what the split and the network would be."""
    from etude.networks.build import check_memory
    from etude.private import performed
    from etude.steps.clean import clean
    from etude.steps.collect import collect
    from etude.steps.encode import encode
    from etude.steps.split import split
    from etude.steps.train import built, chosen
    from etude.store import Store
    from etude.training.fitting import check_settings

    experiment = experiment_file.load(file, overrides)
    check_source(experiment, file)
    data, folder = experiment.data, str(file.parent.absolute())
    if write_schema is not None:
        _check_is_new(write_schema, "the schema file")
        data = data.model_copy(update={"expect": None})  # what is written anew does not hold any more
    out = console(json=as_json)
    with TemporaryDirectory() as temporary:
        store = Store(Path(temporary))
        step = partial(performed, private=data.private)
        read = partial(collect, rules=experiment.clean)
        with shown_on(out) as terminal:
            collected = step(read, store, data, experiment.split, folder, on_progress=terminal.reading)
        cleaned = step(clean, store, collected.outputs, data, experiment.clean)
        parts = step(split, store, cleaned.outputs, data, experiment.split, experiment.seed)
        encoded = step(encode, store, cleaned.outputs, parts.outputs, data, experiment.split, experiment.seed)
        choice = chosen(encoded.outputs, experiment.network, experiment.train)
        check_settings(choice.train, encoded.outputs.task, encoded.outputs.outputs)
        check_memory(choice.network, encoded.outputs.sizes)
        network = built(encoded.outputs, experiment.network, experiment.train, experiment.seed)
        folds = _folds_described(store, experiment, cleaned.outputs, parts.outputs)
        columns = described_columns(store.get(collected.outputs.schema))
        if write_schema is not None:
            _write_schema(write_schema, store, collected.outputs, data)
    parameters = sum(p.numel() for p in network.parameters())
    together = choice.train.batch_size * choice.train.accumulate * choice.train.processes
    batches = -(-parts.outputs.train // together)
    out.print(_columns_table(columns))
    steps: dict[str, Outcome[Any]] = {
        "collect": collected,
        "clean": cleaned,
        "split": parts,
        "encode": encoded,
    }
    for name, outcome in steps.items():
        out.print(f"  [cyan]{name:<9}[/cyan] {safe(outcome.record.summary)}")
        for warning in outcome.record.warnings:
            out.print(f"  [yellow]{'warning':<9}[/yellow] {safe(warning)}")
    out.print(
        f"  [cyan]train    [/cyan] would train {parameters:,} parameters ({choice.network.kind}) for "
        f"{cleaned.outputs.task} of {safe(data.target)}, {batches} steps an epoch, "
        f"at most {choice.train.epochs} epochs"
    )
    if choice.why:
        out.print(f"  [cyan]{'auto':<9}[/cyan] {safe(choice.why)}")
    if folds:
        out.print(f"  [cyan]folds    [/cyan] {folds}")
    if write_schema is not None:
        name = os.path.relpath(write_schema, file.parent)
        out.print(
            f"wrote {safe(str(write_schema))}; runs are checked against it once {safe(str(file))} says:"
        )
        out.print(f"  data: {{expect: {safe(name)}}}", soft_wrap=True)
    out.print(f"[bold]next:[/bold]\n  {safe(_run_command(file, overrides))}", soft_wrap=True)
    return {
        "folds": folds,
        "experiment": experiment.resolved(),
        "columns": columns,
        "task": cleaned.outputs.task,
        "rows": {
            "train": parts.outputs.train,
            "validation": parts.outputs.validation,
            "test": parts.outputs.test,
        },
        "parameters": parameters,
        "digests": {"snapshot": collected.digest, "split": parts.digest, "encoder": encoded.digest},
        "warnings": [w for outcome in steps.values() for w in outcome.record.warnings],
    }


def _folds_described(store: Store, experiment: Experiment, cleaned: Cleaned, parts: Parts) -> str | None:
    """The folds as they would be dealt; None where none are asked for."""
    if not experiment.split.folds:
        return None
    from etude.steps.folds import described, fold_parts

    return described(fold_parts(store, cleaned, parts, experiment.data, experiment.split, experiment.seed))


def _write_schema(path: Path, store: Store, collected: Collected, data: Data) -> None:
    import json

    from etude import snapshot
    from etude.columns.schema import Schema
    from etude.expectations.writing import written
    from etude.files import write_atomically

    table = snapshot.from_bytes(store.get(collected.table))
    schema = Schema.from_json(json.loads(store.get(collected.schema)))
    size = f"{collected.rows:,} rows x {collected.columns} columns, snapshot {collected.snapshot[:12]}"
    write_atomically(path, written(table, schema, data, f"{collected.source}: {size}").encode())


def described_columns(schema: bytes) -> list[dict[str, Any]]:
    """Name, kind and evidence of every column."""
    import json

    from etude.columns.schema import Schema

    return [
        {"name": c.name, "kind": c.kind, "evidence": c.evidence}
        for c in Schema.from_json(json.loads(schema)).columns
    ]


def _columns_table(columns: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("column", "kind", "because"):
        table.add_column(heading)
    for column in columns[:60]:
        table.add_row(safe(column["name"]), column["kind"], f"[dim]{safe(column['evidence'])}[/dim]")
    if len(columns) > 60:
        table.add_row(f"... {len(columns) - 60} more", "", "")
    return table


def init_experiment(
    source: str, target: str, overrides: tuple[str, ...], output: Path | None, *, as_json: bool
) -> dict[str, Any]:
    """A commented experiment file beside the caller, for the table ``source``."""
    from etude.draft import draft
    from etude.files import write_atomically

    path = output or Path(f"{Path(source).name.split('.')[0] or 'experiment'}.yaml")
    _check_is_new(path, "the experiment file")
    relative = os.path.relpath(source, path.parent) if Path(source).exists() else source
    text = draft(source, target, shown_source=relative, declared=experiment_file.keys_of_data(overrides))
    write_atomically(path, text.encode())
    out = console(json=as_json)
    out.print(f"wrote {safe(str(path))}")
    out.print(f"[bold]next:[/bold]\n  etude check {safe(str(path))}\n  etude run {safe(str(path))}")
    return {"file": str(path), "experiment": text}


def _check_is_new(path: Path, name: str) -> None:
    if path.exists():
        mend = "choose another name, or delete it first"
        raise ExperimentError("E122", f"{name} must not exist yet", where=str(path), mend=mend)


def schedule_experiment(
    file: Path, cron: str, timezone: str, pool: str | None, *, as_json: bool
) -> dict[str, Any]:
    """A Prefect deployment of the flow ``train`` with the experiment as its parameter; served here without a pool."""
    experiment = experiment_file.load(file)
    check_source(experiment, file)
    from flows.schedule import deploy, next_runs, serve

    folder, upcoming = str(file.parent.absolute()), next_runs(cron, timezone)
    say = console(json=as_json).print
    say(f"{safe(experiment.name)}: next runs {' and '.join(upcoming)} ({timezone})", soft_wrap=True)
    deployment = ""
    if pool:
        deployment = deploy(experiment, folder, cron, timezone, pool)
        say(f"handed to the workers of pool {safe(pool)}, deployment {deployment}", soft_wrap=True)
    else:
        serve(experiment, folder, cron, timezone, say)
    return {
        "name": experiment.name,
        "cron": cron,
        "timezone": timezone,
        "next": upcoming,
        "deployment": deployment,
    }


def serve_uis(
    mlflow_port: int, prefect_port: int, on_ready: Callable[[dict[str, Any]], None], *, as_json: bool
) -> None:
    """Both UIs until Ctrl-C; ``on_ready`` hears their addresses."""
    from flows.ui import serve

    serve(mlflow_port, prefect_port, lambda line: click.echo(line, err=as_json), on_ready)
