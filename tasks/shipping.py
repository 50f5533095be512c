"""Brings journals to MLflow beside the work: nobody waits for it, and nothing is lost when MLflow is away."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from etude.errors import HeldError
from etude.files import sync
from etude.lease import held
from tasks import local_runs, tracking
from tasks.local_runs import LocalRun
from tasks.mlflow_patience import impatient
from tasks.sending import note_the_end, send_next
from tasks.tracking import AwayError, GoneError

SECONDS_BETWEEN = 1.0
LONGEST_WAIT = 15.0
HURRIED_WAIT = 0.3
PATIENCE, TRIES, TRIES_OF_A_STRANGER = 20.0, 20, 3
"""A run that ends goes without MLflow after so many seconds without progress, or so many failures in a row: few where
it has not answered once."""
QUIET_FAILURES = 3
SHORTEST_TIMEOUT, LONGEST_TIMEOUT = 15, 300
ONE_SENDER = "one process at a time sends a run to MLflow"


class Shipper:
    """Sends one run's journal from a thread, about once a second, later and later while MLflow does not answer."""

    def __init__(self, local: LocalRun, uri: str, *, warned: bool, say: Callable[[str], None]) -> None:
        self.local, self.uri, self.warned, self.say = local, uri, warned, say
        self.failures = 0
        self.gone = False
        self._changed = threading.Condition()
        self._woken = self._hurried = self._stopped = False
        self._in_doubt = False
        self._given_up_at = -1
        self._has_answered = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="shipping", daemon=True)
            self._thread.start()

    def wake(self) -> None:
        """The journal has grown. Takes microseconds."""
        with self._changed:
            self._woken = True
            self._changed.notify()

    def stop(self) -> None:
        """The thread ends when it has heard the answer that it waits for, if any."""
        with self._changed:
            self._stopped = self._woken = self._hurried = True
            self._changed.notify()

    def settle(self, patience: float) -> bool:
        """Waits until MLflow has the whole journal: True; or does not answer: False."""
        self.start()
        with self._changed:
            self._hurried = self._woken = True
            self._changed.notify()
        try:
            return self._watch(patience)
        finally:
            self._hurried = False

    def _watch(self, patience: float) -> bool:
        moved, offset, failed = time.monotonic(), -1, self.failures
        while self.local.waiting():
            now = self.local.sent().offset
            if now != offset:
                moved, offset, failed = time.monotonic(), now, self.failures
            if now == self._given_up_at:
                patience = SECONDS_BETWEEN  # it was waited for at this place before
            if self.gone or time.monotonic() - moved > patience or self.failures - failed >= self._tries():
                self._given_up_at = now
                return False
            time.sleep(0.01)
        note_the_end(self.local)
        return True

    def _work(self) -> None:
        pause = SECONDS_BETWEEN
        while not self.gone and not self._stopped:
            with self._changed:
                self._changed.wait_for(lambda: self._woken)
                self._changed.wait_for(lambda: self._hurried, pause)
                self._woken = False
            if not self._stopped:
                pause = self._send(pause)

    def _send(self, pause: float) -> float:
        """Sends what there is; the seconds to wait before the next time."""
        try:
            sync(self.local.journal)
            with held(self.local.folder / "sending.lock", ONE_SENDER), impatient(self._timeout()):
                while send_next(self.local, self.uri, in_doubt=self._in_doubt):
                    self.failures = 0
                    self._has_answered = True
        except GoneError as gone:
            self.gone = True
            self.say(f"{gone}: what it logs is kept in {self.local.folder}")
        except (AwayError, HeldError) as away:
            self._in_doubt = True
            self._failed(away)
        except Exception as error:  # the run must not suffer from what its record meets
            self._failed(error)
        else:
            return SECONDS_BETWEEN
        with self._changed:
            self._woken = True
        wait = min(2 * pause, LONGEST_WAIT)
        if self._hurried:
            time.sleep(HURRIED_WAIT)
        return wait

    def _tries(self) -> int:
        return TRIES if self._has_answered else TRIES_OF_A_STRANGER

    def _timeout(self) -> int:
        """Longer after each failure: a server that answers late is heard in the end."""
        return min(SHORTEST_TIMEOUT << min(self.failures, 10), LONGEST_TIMEOUT)

    def _failed(self, error: Exception) -> None:
        self.failures += 1
        if self.failures >= QUIET_FAILURES and not self.warned:
            self.warned = True
            self.say(f"{error}: the run goes on, and what it logs waits in {self.local.folder.parent}")


def close_dead(home: Path) -> None:
    """Runs whose process has died are KILLED in their journal, unless they never got as far as their data."""
    for local in local_runs.unsent(home):
        if local.is_dead():
            with suppress(HeldError), held(local.lease, "a dead run is closed by one process"):
                close(local)


def close(local: LocalRun) -> None:
    """The same for one run of which the caller has the lease; a run that has ended is left as it is."""
    status = local.facts().status
    if status == "STARTING":
        local.delete()
    elif status == "RUNNING":
        journal = local.open_journal()
        at = int(local.journal.stat().st_mtime * 1000)
        journal.append("tags", {"of": {"error": "the process died"}})
        journal.append("closed", {"status": "KILLED", "at": at})
        journal.close()
        local.change(status="KILLED")


def send_backlog(home: Path) -> None:
    """Sends from a thread what earlier runs could not, and how the dead ones ended."""
    close_dead(home)
    waiting = [
        local for local in local_runs.unsent(home) if local.facts().status not in ("STARTING", "RUNNING")
    ]
    if waiting:
        threading.Thread(target=_send_all, args=(waiting,), name="backlog", daemon=True).start()


def _send_all(waiting: list[LocalRun]) -> None:
    for local in waiting:
        try:
            send_all(local)
        except GoneError:
            local.mark_sent()
        except Exception as error:  # `etude sync` says it aloud
            logging.getLogger("etude").debug("run %s is not in MLflow yet: %s", local.local_id, error)


def send_all(local: LocalRun, on_progress: Callable[[int], None] = lambda offset: None) -> None:
    """MLflow has all of the run afterwards; ``on_progress`` hears up to which byte of the journal it does.

    Tries each stretch a few times. Raises AwayError, GoneError, HeldError.
    """
    uri, failures = tracking.with_secret(local.facts().tracking_uri), 0
    with held(local.folder / "sending.lock", ONE_SENDER), impatient(LONGEST_TIMEOUT):
        while True:
            try:
                if not send_next(local, uri, in_doubt=failures > 0):
                    return
                failures = 0
                on_progress(local.sent().offset)
            except AwayError:
                failures += 1
                if failures >= TRIES:
                    raise
                time.sleep(HURRIED_WAIT * failures)
