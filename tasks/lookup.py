"""What MLflow holds, looked up without fetching it."""

from __future__ import annotations

from tasks import tracking


def holds_artifact(run_id: str, path: str) -> bool:
    """Whether the run has this artifact, without fetching it."""
    return path in tracking.artifact_paths(run_id, path.rpartition("/")[0])


def runs_beginning_with(head: str, most: int) -> dict[str, str]:
    """Etude's runs whose id begins with the hexadecimal ``head``: id and experiment's name, the latest first."""
    client = tracking.client_of(tracking.tracking_uri())
    names = {experiment.experiment_id: experiment.name for experiment in client.search_experiments()}
    chosen = f"attributes.run_id LIKE '{head}%' AND tags.etude = 'run'"
    order = ["attributes.start_time DESC"]
    found = client.search_runs(list(names), chosen, max_results=most, order_by=order)
    return {run.info.run_id: names[run.info.experiment_id] for run in found}
