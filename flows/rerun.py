"""A past run again, from the snapshot and the experiment that MLflow holds, and the verdict."""

# Annotations stay objects here: as strings Prefect cannot resolve them when a scheduled run loads the flow.
from etude.reapplying import reapplied
from flows.train import train
from tasks.judging import Rerun, judge_rerun
from tasks.past import find_run
from tasks.prefect_api import embedded_flow


@embedded_flow(name="rerun")
def rerun(run_id: str, collect: bool = False) -> Rerun:
    """Runs ``run_id`` again, every step anew, with its threads and flags, and compares stage by stage.

    ``collect`` reads the source again instead of the snapshot; so does a run whose table MLflow does not hold.
    """
    past = find_run(run_id, collect)
    with reapplied(past.identity) as not_reapplied:
        result = train(past.experiment, data=past.snapshot, folder=past.folder, fresh=True, promote=False)
    return judge_rerun(past, result, tuple(not_reapplied))
