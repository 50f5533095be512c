"""The splits that an experiment had before, remembered in the store under what makes them comparable."""

from __future__ import annotations

from etude.experiment import Experiment, digest_of
from etude.store import Ref, Store

REMEMBERED = 2


def lineage_of(experiment: Experiment) -> str:
    """The same for splits that differ in their rows alone: name, target, kind of split, shares and seed."""
    told = {
        "name": experiment.name,
        "target": experiment.data.target,
        "official": experiment.data.test,
        "split": experiment.split.model_dump(mode="json", exclude={"folds"}),
        "seed": experiment.seed,
    }
    return f"lineage-{digest_of(told)}"


def earlier_split(store: Store, lineage: str, table: Ref) -> Ref | None:
    """Where the rows of the last split over another table went; None when there was none."""
    return next((placed for of, placed in reversed(_remembered(store, lineage)) if of != table.sha256), None)


def remember_split(store: Store, lineage: str, table: Ref, placed: Ref | None) -> None:
    """This split is the last one now. The same table again changes nothing."""
    if placed is None:
        return
    others = [(of, ref) for of, ref in _remembered(store, lineage) if of != table.sha256]
    kept = [*others, (table.sha256, placed)][-REMEMBERED:]
    entries = [{"table": of, "placed": {"sha256": ref.sha256, "size": ref.size}} for of, ref in kept]
    store.put_outcome(lineage, {"splits": entries})


def _remembered(store: Store, lineage: str) -> list[tuple[str, Ref]]:
    found = store.get_outcome(lineage) or {"splits": []}
    return [(entry["table"], Ref(**entry["placed"])) for entry in found["splits"]]
