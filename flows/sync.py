"""Brings to MLflow what runs could not while it was away."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from etude.errors import EtudeError, HeldError, InputError
from etude.home import home
from flows.terminal import console, safe
from tasks import local_runs
from tasks.local_runs import LocalRun
from tasks.shipping import close_dead, send_all
from tasks.tracking import AwayError, GoneError


def sync(*, as_json: bool) -> dict[str, Any]:
    """Sends every journal of this ETUDE_HOME that MLflow does not have in full; a run that goes on sends its own.

    The object that ``--json`` prints: MLflow's id of each run by its local id, and by local id what is ``damaged`` on
    this machine. Raises InputError E132 when MLflow does not answer; what was sent until then is sent.
    """
    out = console(json=as_json)
    sent: dict[str, str] = {}
    deleted: list[str] = []
    held: list[str] = []
    damaged = {path.name: "its run.json does not have its checksum" for path in local_runs.unreadable(home())}
    away: dict[str, AwayError] = {}
    close_dead(home())
    for local in list(local_runs.unsent(home())):
        if local.facts().tracking_uri in away:
            continue
        if local.facts().status in ("STARTING", "RUNNING"):
            held.append(local.local_id)
            continue
        if fault := local.fault():
            damaged[local.local_id] = fault
            if not local.waiting():
                continue
        try:
            _send(local, out)
        except GoneError:
            local.mark_sent()
            deleted.append(local.local_id)
        except HeldError:
            held.append(local.local_id)
        except AwayError as error:
            away[local.facts().tracking_uri] = error
        except EtudeError as error:
            if error.code != "E130":
                raise
            damaged[local.local_id] = str(error)
        else:
            sent[local.local_id] = local.run_id
            out.print(f"  run {local.run_id} of {safe(local.facts().name)} is in MLflow")
    for local_id in deleted:
        out.print(
            f"  run {local_id} was deleted in MLflow: its journal stays in {safe(str(home() / 'runs'))}"
        )
    for local_id in held:
        out.print(f"  run {local_id} goes on: its own process sends it")
    for local_id, fault in damaged.items():
        out.print(
            f"  [red]damaged[/red] run {local_id}: {safe(fault)}; MLflow does not have all of it",
            soft_wrap=True,
        )
    for uri, reason in away.items():
        raise InputError(
            "E132",
            "MLflow must answer",
            where=uri,
            value=reason,
            mend=f"{len(sent)} runs were sent; the rest stays in {home() / 'runs'}, call `etude sync` again",
        )
    if not sent and not deleted and not held and not damaged:
        out.print("MLflow has everything")
    return {"sent": sent, "deleted": deleted, "held": held, "damaged": damaged}


def _send(local: LocalRun, out: Console) -> None:
    columns = (TextColumn("  run {task.description}"), BarColumn(bar_width=24), DownloadColumn())
    with Progress(*columns, console=out, transient=True, disable=not out.is_terminal) as bar:
        task = bar.add_task(local.local_id, total=local.journal.stat().st_size, completed=local.sent().offset)
        send_all(local, lambda offset: bar.update(task, completed=offset))
