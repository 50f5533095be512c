"""Brings to MLflow what runs could not while it was away."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from etude.errors import HeldError, InputError
from etude.home import home
from flows.terminal import console, safe
from tasks import local_runs
from tasks.local_runs import LocalRun
from tasks.shipping import close_dead, send_all
from tasks.tracking import AwayError, GoneError


def sync(*, as_json: bool) -> dict[str, Any]:
    """Sends every journal of this ETUDE_HOME that MLflow does not have in full; a run that goes on sends its own.

    The object that ``--json`` prints: MLflow's id of each run by its local id. Raises InputError E132 when MLflow does
    not answer; what was sent until then is sent.
    """
    out = console(json=as_json)
    sent: dict[str, str] = {}
    deleted: list[str] = []
    held: list[str] = []
    close_dead(home())
    for local in list(local_runs.unsent(home())):
        if local.facts().status in ("STARTING", "RUNNING"):
            held.append(local.local_id)
            continue
        try:
            _send(local, out)
        except GoneError:
            local.mark_sent()
            deleted.append(local.local_id)
        except HeldError:
            held.append(local.local_id)
        except AwayError as away:
            raise _away(local, away, len(sent)) from None
        else:
            sent[local.local_id] = local.run_id
            out.print(f"  run {local.run_id} of {safe(local.facts().name)} is in MLflow")
    for local_id in deleted:
        out.print(
            f"  run {local_id} was deleted in MLflow: its journal stays in {safe(str(home() / 'runs'))}"
        )
    for local_id in held:
        out.print(f"  run {local_id} goes on: its own process sends it")
    if not sent and not deleted and not held:
        out.print("MLflow has everything")
    return {"sent": sent, "deleted": deleted, "held": held}


def _send(local: LocalRun, out: Console) -> None:
    columns = (TextColumn("  run {task.description}"), BarColumn(bar_width=24), DownloadColumn())
    with Progress(*columns, console=out, transient=True, disable=not out.is_terminal) as bar:
        task = bar.add_task(local.local_id, total=local.journal.stat().st_size, completed=local.sent().offset)
        send_all(local, lambda offset: bar.update(task, completed=offset))


def _away(local: LocalRun, away: AwayError, sent: int) -> InputError:
    return InputError(
        "E132",
        "MLflow must answer",
        where=local.facts().tracking_uri,
        value=away,
        mend=f"{sent} runs were sent; the rest stays in {local.folder.parent}, call `etude sync` again",
    )
