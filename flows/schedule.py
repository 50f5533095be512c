"""Schedules: a Prefect deployment of the flow ``train`` whose parameter is the experiment."""

from __future__ import annotations

import signal
from collections.abc import Callable
from multiprocessing.process import BaseProcess as Process
from typing import Any

from etude.errors import ExperimentError
from etude.experiment import Experiment
from etude.home import home
from tasks.signals import undisturbed

RUN_ENDS_SECONDS = 20


def serve(experiment: Experiment, folder: str, cron: str, timezone: str, say: Callable[[str], None]) -> None:
    """Serves the schedule from this process until Ctrl-C, on the embedded Prefect server or the one that is set."""
    from prefect.types.entrypoint import EntrypointType

    from flows.train import train
    from tasks.prefect_api import prefect_api

    when = _schedule(cron, timezone)
    with prefect_api(home() / "prefect", scheduler=True) as url:
        say(f"served from here, Prefect at {url}; Ctrl-C ends the schedule")
        # asyncio ends its tasks in good order on Ctrl-C, but only where Python's own handler stands.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            train.serve(
                name=experiment.name,
                schedule=when,
                parameters=_parameters(experiment, folder),
                entrypoint_type=EntrypointType.MODULE_PATH,
                print_starting_message=False,
                limit=1,
            )
        finally:
            with undisturbed():
                _end_runs()


def _end_runs() -> None:
    """Runs that go on are closed while Prefect's server still hears it; without it they would try for minutes."""
    from multiprocessing import active_children

    for patience, end in ((1, Process.terminate), (RUN_ENDS_SECONDS, Process.kill), (1, Process.kill)):
        running = active_children()
        for process in running:
            process.join(patience)
            if process.is_alive():
                end(process)


def deploy(experiment: Experiment, folder: str, cron: str, timezone: str, pool: str) -> str:
    """The id of the deployment, handed to a work pool whose workers have Etude installed."""
    from prefect.deployments.runner import RunnerDeployment
    from prefect.types.entrypoint import EntrypointType

    from flows.train import train

    deployment = RunnerDeployment.from_flow(
        train,
        name=experiment.name,
        schedule=_schedule(cron, timezone),
        parameters=_parameters(experiment, folder),
        entrypoint_type=EntrypointType.MODULE_PATH,
        work_pool_name=pool,
        concurrency_limit=1,
    )
    return str(deployment.apply(work_pool_name=pool))


def _parameters(experiment: Experiment, folder: str) -> dict[str, Any]:
    return {"experiment": experiment.resolved(), "folder": folder}


def _schedule(cron: str, timezone: str) -> Any:
    """Prefect's schedule. Raises ExperimentError E112 for cron fields or a time zone that do not exist."""
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    from prefect.schedules import Cron

    try:
        ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, IsADirectoryError):
        raise ExperimentError(
            "E112", "--timezone must name a time zone", value=timezone, mend="such as Europe/Berlin"
        ) from None
    try:
        _moments(cron, timezone)
    except (ValueError, KeyError):
        raise ExperimentError(
            "E112",
            "--cron needs five fields within their ranges: minute hour day month weekday",
            value=cron,
            mend='"0 3 * * *" is 03:00',
        ) from None
    return Cron(cron, timezone=timezone)


def next_runs(cron: str, timezone: str) -> list[str]:
    """The next two moments as text. Raises ExperimentError E112 as a schedule would."""
    _schedule(cron, timezone)
    return [f"{moment:%Y-%m-%d %H:%M}" for moment in _moments(cron, timezone)]


def _moments(cron: str, timezone: str) -> tuple[Any, Any]:
    """The next two moments, by the library that Prefect's server uses. Raises ValueError for bad fields."""
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from cronsim import CronSim, CronSimError

    try:
        moments = CronSim(cron, datetime.now(ZoneInfo(timezone)))
        return next(moments), next(moments)
    except (CronSimError, StopIteration) as error:
        raise ValueError(cron) from error
