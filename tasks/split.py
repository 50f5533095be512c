"""Split: train, validation and test, with a certificate."""

from __future__ import annotations

from prefect import task
from prefect.cache_policies import NO_CACHE

from etude.splitting.lineage import earlier_split, lineage_of, remember_split
from etude.steps.clean import Cleaned
from etude.steps.split import Parts, split
from tasks.perform import perform
from tasks.run import Run


@task(name="split", cache_policy=NO_CACHE)
def split_rows(run: Run, cleaned: Cleaned) -> Parts:
    """Beside what it does, it remembers where each row went, so that a later split can say which rows moved."""
    experiment = run.experiment
    lineage = lineage_of(experiment)
    earlier = earlier_split(run.store, lineage, cleaned.table)
    parts = perform(
        run,
        "split",
        split,
        cleaned,
        experiment.data.of_table(),
        experiment.split.without_folds(),
        experiment.seed,
        earlier,
    )
    remember_split(run.store, lineage, cleaned.table, parts.placed)
    return parts
