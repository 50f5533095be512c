"""A past run again, from the snapshot and the experiment that MLflow holds, and the verdict."""

# Annotations stay objects here: as strings Prefect cannot resolve them when a scheduled run loads the flow.
from flows.train import train
from tasks.past import Rerun, find_run, judge_rerun
from tasks.prefect_api import embedded_flow


@embedded_flow(name="rerun")
def rerun(run_id: str) -> Rerun:
    """Runs ``run_id`` again, every step anew, and compares stage by stage.

    The source of a private table is read again, since MLflow does not hold its snapshot.
    """
    past = find_run(run_id)
    result = train(past.experiment, data=past.snapshot, folder=past.folder, fresh=True)
    return judge_rerun(past, result)
