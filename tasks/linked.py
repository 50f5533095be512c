"""One MLflow run and one Prefect flow run, each knowing the other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from etude.experiment import Experiment, Train
from etude.identity import injected
from etude.training.devices import device_name
from tasks import recording
from tasks.mlflow_names import run_link
from tasks.progress import listener
from tasks.run import Run


@contextmanager
def linked_run(experiment: Experiment, *, folder: str, fresh: bool = False) -> Iterator[Run]:
    """The run of this flow: MLflow's tag ``prefect.flow_run_id`` and Prefect's tag ``mlflow:<run_id>``."""
    from prefect.runtime import flow_run

    _check(experiment.train)
    flow_run_id = flow_run.id
    warnings = injected()
    tags = {"environment.warning": "; ".join(warnings)} if warnings else {}
    if flow_run_id:
        tags |= {"prefect.flow_run_id": str(flow_run_id), "prefect.flow_run_name": str(flow_run.name)}
    with recording.open_run(experiment, folder=folder, fresh=fresh, tags=tags) as run:
        for warning in warnings:
            listener().said(warning)
        listener().opened(run)
        try:
            yield run
        finally:
            if flow_run_id:
                _tell_prefect(str(flow_run_id), recording.current(run))


def _check(train: Train) -> None:
    """Raises ExperimentError E104 or E110 for what this machine and this torch do not have: that leaves no run."""
    device_name(train.device)
    if train.optimizer not in ("adamw", "sgd"):
        from etude.training.torch_optimizer import check_optimizer

        check_optimizer(train.optimizer)


def _tell_prefect(flow_run_id: str, run: Run) -> None:
    """Prefect may be away by now; the tag in MLflow says the same."""
    from uuid import UUID

    from prefect import get_client
    from prefect.artifacts import create_markdown_artifact

    with suppress(Exception), get_client(sync_client=True) as client:
        client.update_flow_run(
            UUID(flow_run_id), tags=[f"mlflow:{run.run_id}", f"experiment:{run.experiment.name}"]
        )
        if run.report.exists():
            page = run_link(run.run_id, run.experiment_id, run.tracking_uri)
            text = f"[The run in MLflow]({page}), [its report]({page}/artifacts/report.html), on disk: {run.report}"
            create_markdown_artifact(text, key="report", description=run.experiment.name)
