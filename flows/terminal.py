"""What a person sees: a line per task, a live bar over the epochs, a table at the end. Quiet when not a terminal."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from os.path import relpath
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from etude.errors import printable
from tasks.mlflow_names import is_mlflows_default
from tasks.progress import Done, Listener, listening

if TYPE_CHECKING:
    from etude.training.fitting import Epoch
    from tasks.result import RunResult
    from tasks.run import Run

MOMENT_SECONDS = 1.0
BROKEN_PIPE = 128 + 13
UNWRAPPED = 10_000
NOT_SHOWN = ("test/f1_of_", "test/gain_over_")


def safe(text: str) -> str:
    """The text as a terminal may show it: without markup, and without characters that the terminal would obey."""
    return escape(printable(text))


def console(*, json: bool) -> Console:
    """Progress goes to standard output for people, to standard error when ``--json`` owns standard output.

    Off a terminal nothing is wrapped: who searches a log finds whole lines.
    """
    out = PipedConsole(stderr=json, highlight=False)
    return out if out.is_terminal else PipedConsole(stderr=json, highlight=False, width=UNWRAPPED)


class PipedConsole(Console):
    """Who reads has gone (``etude run | head``): the command unwinds as after a signal, and says nothing more."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), self.file.fileno())
        raise SystemExit(BROKEN_PIPE)


class TerminalListener(Listener):
    """Draws on a terminal; off a terminal it is quiet, but for warnings."""

    def __init__(self, out: Console) -> None:
        super().__init__()
        self.out = out
        self.run: Run | None = None
        self._bar: Progress | None = None
        self._reading_since = 0.0

    def opened(self, run: Run) -> None:
        self.run = run
        if self.out.is_terminal:
            self.out.print(f"[bold]{safe(run.experiment.name)}[/bold]")

    def reading(self, done: int, total: int) -> None:
        """A bar for a source that takes longer than a moment; a query's rows have no total, and the bar only moves."""
        now = time.monotonic()
        self._reading_since = self._reading_since or now
        if self._bar is None and self.out.is_terminal and now - self._reading_since > MOMENT_SECONDS:
            self._bar = Progress(
                TextColumn("  [cyan]collect[/cyan]  reading {task.completed:,.0f}"),
                BarColumn(bar_width=24),
                TimeRemainingColumn(),
                console=self.out,
                transient=True,
            )
            self._bar.add_task("collect", total=None)
            self._bar.start()
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=done, total=total if total > done else None)

    def epoch(self, epoch: Epoch, epochs: int) -> None:
        self._draw("[cyan]train[/cyan]    epoch", epoch, epochs)

    def fold(self, fold: int, folds: int, epoch: Epoch, epochs: int) -> None:
        if epoch.epoch == 1:
            self.stop()
        self._draw(f"[cyan]folds[/cyan]    fold {fold} of {folds}, epoch", epoch, epochs)

    def _draw(self, words: str, epoch: Epoch, epochs: int) -> None:
        if self._bar is None and self.out.is_terminal:
            self._bar = Progress(
                TextColumn(f"  {words}"),
                MofNCompleteColumn(),
                BarColumn(bar_width=24),
                TextColumn("loss {task.fields[train]:.4f} train  {task.fields[validation]:.4f} validation"),
                TimeRemainingColumn(),
                console=self.out,
                transient=True,
            )
            self._bar.add_task(
                "train", total=epochs, train=epoch.train_loss, validation=epoch.validation_loss
            )
            self._bar.start()
        if self._bar is not None:
            self._bar.update(
                self._bar.task_ids[0],
                completed=epoch.epoch,
                train=epoch.train_loss,
                validation=epoch.validation_loss,
            )

    def said(self, text: str) -> None:
        self.out.print(_line("[yellow]note[/yellow]", safe(text)))

    def done(self, done: Done) -> None:
        self.stop()
        if self.out.is_terminal:
            again = f" [dim](reused from run {done.reused_from[:8]})[/dim]" if done.reused_from else ""
            self.out.print(_line(f"[cyan]{done.task}[/cyan]", f"{safe(done.summary)}{again}", done.seconds))
        for warning in done.warnings:
            self.out.print(_line("[yellow]warning[/yellow]", safe(warning)))

    def stop(self) -> None:
        """No bar is left on the terminal."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def _line(word: str, text: str, seconds: float | None = None) -> Table:
    """A word, its text wrapped beside it, the seconds at the end."""
    line = Table.grid(padding=(0, 1))
    line.add_column(width=10)
    line.add_column(ratio=1)
    line.add_column(justify="right", style="dim", min_width=7)
    line.add_row(f"  {word}", text, "" if seconds is None else f"{seconds:.1f} s")
    return line


@contextmanager
def shown_on(out: Console) -> Iterator[TerminalListener]:
    """Runs inside are shown on ``out``."""
    terminal = TerminalListener(out)
    with listening(terminal):
        try:
            yield terminal
        finally:
            terminal.stop()


def print_result(out: Console, result: RunResult, command: str) -> None:
    """The table of scores, the verdicts, where the run is and what to type next; ``command`` made the run."""
    out.print()
    out.print(_scores(result))
    for name, verdict in result.verdicts.items():
        out.print(f"[bold]{safe(name)}:[/bold] {safe(verdict.sentence)}")
    if result.report:
        out.print(f"[bold]report:[/bold] {safe(relpath(result.report))}", soft_wrap=True)
    if not result.experiment_id:
        out.print(f"[bold]run:[/bold] {result.run_id}, which MLflow does not have yet", soft_wrap=True)
        out.print("[bold]next:[/bold]\n  etude sync  [dim]# sends it when MLflow answers again[/dim]")
        return
    out.print(f"[bold]run:[/bold] {result.run_id} in {safe(result.tracking_uri)}", soft_wrap=True)
    if result.tracking_uri.startswith("sqlite:") and not is_mlflows_default(result.tracking_uri):
        out.print(
            f"[bold]first:[/bold] mlflow.set_tracking_uri('{safe(result.tracking_uri)}')", soft_wrap=True
        )
    out.print(f"[bold]model:[/bold] mlflow.pyfunc.load_model('{result.model_uri}')", soft_wrap=True)
    out.print("[bold]next:[/bold]")
    for typed, why in _next_commands(result, command).items():
        out.print(f"  {safe(typed)}  [dim]# {why}[/dim]", soft_wrap=True)
        if typed == "etude ui":
            out.print(f"  [dim]  {safe(result.losses_link)}[/dim]", soft_wrap=True)


def _next_commands(result: RunResult, command: str) -> dict[str, str]:
    again = {f"{command} --fresh": "make it again, as a new run"} if result.same_as else {}
    return {
        "etude ui": "look at it in MLflow and Prefect; both losses in one chart:",
        f"etude rerun {result.run_id}": "prove that it comes out the same",
        **again,
        f"{command} --set train.learning_rate=0.01": "try something else",
    }


def _scores(result: RunResult) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("metric")
    for heading in ("validation", "test", "95 % interval", "baseline"):
        table.add_column(heading, justify="right")
    suffixes = ("_low", "_high", "/score", "/rows", "/seconds", "/looks")
    for name in sorted(result.metrics, key=_place):
        if not name.startswith("test/") or name.endswith(suffixes) or name.startswith(NOT_SHOWN):
            continue
        metric = name.removeprefix("test/")
        low, high = result.metrics.get(f"{name}_low"), result.metrics.get(f"{name}_high")
        table.add_row(
            metric,
            _number(result.metrics.get(f"validation/best_{metric}")),
            _number(result.metrics[name]),
            _interval(low, high),
            _number(result.metrics.get(f"baseline/{metric}")),
        )
    if "folds/count" in result.metrics:
        table.add_row(*_folds_row(result))
    return table


def _place(name: str) -> tuple[int, str]:
    """The usual metrics first, in the order in which people read them."""
    first = ("accuracy", "balanced_accuracy", "f1_macro", "roc_auc", "log_loss", "r2", "rmse", "mae")
    metric = name.removeprefix("test/")
    return (first.index(metric) if metric in first else len(first), metric)


def _folds_row(result: RunResult) -> tuple[str, ...]:
    """The out-of-fold score beside validation's, with the interval of its own."""
    name = next(n for n in ("accuracy", "r2") if f"test/{n}" in result.metrics)
    low, high = (result.metrics.get(f"folds/{name}_{end}") for end in ("low", "high"))
    interval = _interval(low, high)
    folds = int(result.metrics["folds/count"])
    return f"{name}, {folds} folds", _number(result.metrics.get(f"folds/{name}")), "-", interval, ""


def _interval(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return ""
    ends = _number(low), _number(high)
    return "every resample alike" if ends[0] == ends[1] else " to ".join(ends)


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.4f}" if abs(value) < 100 else f"{value:,.1f}"
