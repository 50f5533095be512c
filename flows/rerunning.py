"""What ``etude rerun`` prints: the ladder as a table, the verdict, and why."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from etude.home import home
from flows.terminal import console, safe, shown_on

if TYPE_CHECKING:
    from etude.ladder import Rung
    from tasks.judging import Rerun


def rerun_run(run_id: str, *, collect: bool, diff: bool, as_json: bool) -> tuple[dict[str, Any], bool]:
    """The flow ``rerun`` under the recorded instructions; its JSON, and whether the run came out the same."""
    from tasks.run_ids import whole_run_id

    run_id = whole_run_id(run_id)  # first of all: a wrong id is answered before anything heavy is imported
    from etude.reapplying import before_torch
    from tasks.past import identity_of
    from tasks.prefect_api import start_early

    out = console(json=as_json)
    for told in before_torch(identity_of(run_id)):
        out.print(f"  [yellow]note[/yellow]     {safe(told)}")
    start_early(home() / "prefect")
    from flows.rerun import rerun

    with shown_on(out):
        found = rerun(run_id, collect)
    print_rerun(out, found, diff=diff)
    return found.as_json(), found.same


def rerun_in_environment(run_id: str, arguments: Sequence[str], *, as_json: bool) -> int:
    """The same command with ``arguments``, in an environment with the run's packages; its exit code."""
    from tasks.run_ids import whole_run_id

    run_id = whole_run_id(run_id)
    from etude.environments import environment_of
    from tasks.past import identity_of

    out = console(json=as_json)
    found = environment_of(identity_of(run_id), home() / "envs", lambda text: out.print(f"  {safe(text)}"))
    for note in found.notes:
        out.print(f"[yellow]note:[/yellow] {safe(note)}", soft_wrap=True)
    out.print(f"  in {safe(str(found.folder))}", soft_wrap=True)
    # Another release of Prefect has another database; a PYTHONPATH would bring this environment's packages along.
    inner = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV"))}
    inner |= {"PREFECT_HOME": str(found.folder / "prefect"), "ETUDE_HOME": str(home())}
    script = "from flows.cli import main; main()"
    child = subprocess.Popen([str(found.python), "-c", script, "rerun", run_id, *arguments], env=inner)
    try:
        return child.wait()
    except BaseException:
        child.terminate()
        child.wait()
        raise


def print_rerun(out: Console, found: Rerun, *, diff: bool) -> None:
    """Notes, ladder, verdict; the code's diff when it is asked for."""
    out.print()
    for note in found.notes:
        out.print(f"[yellow]note:[/yellow] {safe(note)}", soft_wrap=True)
    print_ladder(out, found.ladder, "this run")
    out.print(f"[bold]rerun:[/bold] {found.verdict.verdict}. {safe(found.verdict.sentence)}", soft_wrap=True)
    out.print(f"[bold]run:[/bold] {found.result.run_id}, a rerun of {found.rerun_of}", soft_wrap=True)
    if diff and found.code_diff:
        print_diff(out, found.code_diff)
    elif found.code_diff:
        out.print("what changed in the code: --diff prints it, the new run has it as rerun/code.diff")


def print_diff(out: Console, diff: str) -> None:
    """Line by line, so that what a source hides in a line is shown as its escape."""
    for line in diff.splitlines():
        out.print(safe(line), soft_wrap=True)


def print_ladder(out: Console, ladder: Sequence[Rung], now: str) -> None:
    """Stage by stage: the head of each digest, epochs that agree as one line."""
    from etude.ladder import folded

    table = Table(box=None, pad_edge=False)
    for heading in ("stage", "first run", now, ""):
        table.add_column(heading)
    for rung in folded(ladder):
        mark = "[green]same[/green]" if rung.same else "[red]differs[/red]"
        table.add_row(rung.stage, rung.before[:12], rung.now[:12], mark)
    out.print(table)
