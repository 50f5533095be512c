"""A training from the source to the packed model, step after step, in a store and nothing else: no task, no tracker.

The flow ``train`` does the same with every record shipped to MLflow; ``etude verify`` and the benches do this.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from etude.ladder import Evidence, evidence_from
from etude.outcome import Outcome
from etude.private import performed
from etude.steps.clean import clean
from etude.steps.collect import Snapshot, collect
from etude.steps.deciding import check_threshold
from etude.steps.encode import encode
from etude.steps.folds import folds
from etude.steps.package import package
from etude.steps.split import split
from etude.steps.test import test
from etude.steps.train import chosen, train
from etude.steps.validate import validate
from etude.store import Store

if TYPE_CHECKING:
    import pandas as pd

    from etude.experiment import Experiment

Done = Callable[[str, Outcome[Any]], None]


@dataclass(frozen=True)
class Whole:
    """The outcome of every step by its task's name, in order."""

    outcomes: dict[str, Outcome[Any]]

    def evidence(self, store: Store) -> Evidence:
        """What a rerun compares."""
        tags = {k: v for outcome in self.outcomes.values() for k, v in outcome.record.tags.items()}
        files = {p: ref for outcome in self.outcomes.values() for p, ref in outcome.record.files.items()}
        return evidence_from(tags, lambda path: store.get(files[path]))


def unheard(task: str, outcome: Outcome[Any]) -> None:
    """Nobody listens."""


def run_steps(
    store: Store,
    experiment: Experiment,
    folder: str,
    given: pd.DataFrame | Snapshot | None = None,
    given_test: pd.DataFrame | None = None,
    done: Done = unheard,
) -> Whole:
    """All steps of ``experiment``; ``done`` hears of each. Raises what the steps raise."""
    e, outcomes = experiment, dict[str, Outcome[Any]]()

    def step(task: str, function: Callable[..., Outcome[Any]], *inputs: Any, **live: Any) -> Any:
        outcomes[task] = performed(function, store, *inputs, private=e.data.private, **live)
        done(task, outcomes[task])
        return outcomes[task].outputs

    collected = step(
        "collect",
        collect,
        e.data,
        e.split,
        folder,
        given=given,
        given_test=given_test,
        rules=e.clean,
    )
    data, dealt = e.data.of_table(), e.split.without_folds()
    cleaned = step("clean", clean, collected, data, e.clean)
    parts = step("split", split, cleaned, data, dealt, e.seed)
    encodings = step("encode", encode, cleaned, parts, data, dealt, e.seed)
    check_threshold(e.evaluate, encodings)
    trained = step("train", train, encodings, e.network, e.train, e.seed)
    learned = (encodings, trained, e.network, e.train, e.seed)
    validated = step("validate", validate, *learned, e.evaluate, data.private)
    if e.split.folds:
        network = chosen(encodings, e.network, e.train).network
        step("folds", folds, cleaned, parts, data, e.split, network, trained.settings, e.seed)
    parts_of = (cleaned, parts, encodings, trained)
    tested = step("test", test, *parts_of, validated, data, e.network, e.train, e.seed, dealt)
    step("register", package, collected, *parts_of, tested, data, e.network, e.train)
    return Whole(outcomes)
