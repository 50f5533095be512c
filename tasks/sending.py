"""The next stretch of a journal, brought to MLflow so that doing it again changes nothing.

MLflow keeps an identical point once, a param, a tag or an artifact under its name; a run and a model carry our key
as a tag and are looked for before they are made a second time.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

from pydantic import TypeAdapter

from etude.errors import EtudeError
from etude.journal import Entry, entries
from etude.steps.package import Packaged
from etude.store import Ref, Store
from tasks import tracking
from tasks.local_runs import LocalRun
from tasks.logged_model import send_model
from tasks.mlflow_names import LOSSES_LINK, losses_link
from tasks.tracking import RefusedError

ITEMS_AT_ONCE, ITEMS_IN_DOUBT = 4_000, 800
"""So that what is confirmed is written down every second or so, and after every call while calls fail."""
ALONE = {"opened", "inputs", "model", "closed"}


def send_next(local: LocalRun, uri: str, *, in_doubt: bool = False) -> bool:
    """The next stretch is in MLflow, and that is written down; False when there was nothing left. A stretch is shorter
    when it is in doubt whether MLflow will take all of it.

    Raises AwayError when MLflow does not answer, GoneError when its run was deleted. What MLflow refuses is named
    in the log, and stays in the journal alone; so does what the store has lost.
    """
    stretch = _stretch(local, ITEMS_IN_DOUBT if in_doubt else ITEMS_AT_ONCE)
    if not stretch:
        note_the_end(local)
        return False
    if not local.sent().run_id and stretch[0].kind != "opened":
        _open(local, uri, {})  # the first line of the journal is damaged
    for some in _groups(stretch):
        _send_or_halve(local, uri, some)
    local.write_sent(replace(local.sent(), offset=stretch[-1].end))
    return True


def _stretch(local: LocalRun, most: int) -> list[Entry]:
    found: list[Entry] = []
    items = 0
    for entry in entries(local.journal, local.sent().offset):
        found.append(entry)
        items += len(entry.content.get("of", ())) + 1
        if items >= most:
            break
    return found


def note_the_end(local: LocalRun) -> None:
    """A run that has ended and is in MLflow is nobody's business any more."""
    if local.sent().run_id and local.facts().status not in ("STARTING", "RUNNING"):
        local.mark_sent()
        if local.waiting():
            local.mark_unsent()  # somebody wrote between our two looks


def _groups(stretch: Sequence[Entry]) -> Iterator[list[Entry]]:
    """Entries in a row that one call can take."""
    for _, some in groupby(enumerate(stretch), key=lambda item: item[0] if item[1].kind in ALONE else -1):
        yield [entry for _, entry in some]


def _send_or_halve(local: LocalRun, uri: str, some: list[Entry]) -> None:
    """A request that is too large, or holds one thing that MLflow does not take, is sent in halves."""
    try:
        _send(local, uri, some)
    except (RefusedError, EtudeError) as refused:
        if isinstance(refused, EtudeError) and refused.code != "E130":
            raise
        halves = _halves(some)
        if not halves:
            _go_without(local, uri, some[0], refused)
        for half in halves:
            _send_or_halve(local, uri, half)


def _go_without(local: LocalRun, uri: str, entry: Entry, why: Exception) -> None:
    """One thing that MLflow does not take, or that the store has lost, keeps back nothing else."""
    tracking.check_is_there(uri, local.sent().run_id)
    who = "MLflow refuses" if isinstance(why, RefusedError) else "the store has lost"
    logging.getLogger("etude").warning("%s a part of run %s: %s", who, local.local_id, why)
    sent = local.sent()
    local.write_sent(replace(sent, refused=(*sent.refused, entry.end)))


def _halves(some: list[Entry]) -> list[list[Entry]]:
    if len(some) > 1:
        return [some[: len(some) // 2], some[len(some) // 2 :]]
    of = some[0].content.get("of")
    if of is None or len(of) < 2:
        return []
    items = list(of.items() if isinstance(of, dict) else of)
    parts = items[: len(items) // 2], items[len(items) // 2 :]
    made: list[Any] = [dict(part) if isinstance(of, dict) else part for part in parts]
    return [[replace(some[0], content={"of": part})] for part in made]


def _send(local: LocalRun, uri: str, some: list[Entry]) -> None:
    first, run_id = some[0], local.sent().run_id
    if first.kind == "opened":
        _open(local, uri, first.content)
    elif first.kind == "closed":
        tracking.end_run(uri, run_id, first.content["status"], first.content["at"])
    elif first.kind == "inputs":
        tracking.send_input(uri, run_id, **first.content)
    elif first.kind == "model":
        _send_model(local, uri, first.content)
    else:
        _send_of(local, uri, run_id, some)


def _send_of(local: LocalRun, uri: str, run_id: str, some: list[Entry]) -> None:
    points = [point for entry in some if entry.kind == "points" for point in entry.content["of"]]
    params, tags, files = (
        {name: value for entry in some if entry.kind == kind for name, value in entry.content["of"].items()}
        for kind in ("params", "tags", "files")
    )
    link = losses_link(run_id, local.sent().experiment_id, uri)
    tags = {name: value.replace(LOSSES_LINK, link) for name, value in tags.items()}
    tracking.send_batches(uri, run_id, points=points, params=params, tags=tags)
    store = Store(local.folder.parent.parent / "store")
    tracking.send_files(uri, run_id, {path: store.get(Ref(**ref)) for path, ref in files.items()})


def _open(local: LocalRun, uri: str, content: dict[str, Any]) -> None:
    """MLflow's run: the one that it has already, else a new one."""
    sent, facts = local.sent(), local.facts()
    if sent.run_id:
        tracking.reopen(uri, sent.run_id)
        return
    experiment_id = sent.experiment_id or tracking.experiment_id(uri, facts.name)
    run_id = tracking.find_run(uri, experiment_id, local.local_id) if sent.asked else ""
    local.write_sent(replace(sent, experiment_id=experiment_id, asked=True))
    if not run_id:
        tags = {**content.get("tags", {}), "local_id": local.local_id}
        run_id = tracking.create_run(uri, experiment_id, tags, facts.started)
    local.write_sent(replace(local.sent(), run_id=run_id))


def _send_model(local: LocalRun, uri: str, content: dict[str, Any]) -> None:
    packaged = TypeAdapter(Packaged).validate_python(content["packaged"])
    sent, store = local.sent(), Store(local.folder.parent.parent / "store")
    model_id = send_model(uri, sent.run_id, sent.experiment_id, packaged, store)
    local.write_sent(replace(sent, model_id=model_id))
