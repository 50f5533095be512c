"""Gate: whether a model may take the champion's place, judged on test rows that neither has learned from."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from etude.cleaning import used_columns
from etude.errors import EtudeError
from etude.evaluation.paired import LOWER_IS_BETTER, Difference, PairedMetric, difference, statistic_of
from etude.experiment import Data, Split
from etude.gate import Gate
from etude.outcome import Outcome, Record, put_files
from etude.steps.clean import Cleaned
from etude.steps.split import Parts, positions
from etude.store import Ref, Store
from etude.verdicts import Verdict

if TYPE_CHECKING:
    import pyarrow as pa

    from etude.evaluation.intervals import Groups
    from etude.model import Model

PROMOTED, KEPT, HUMAN = "promoted", "kept", "needs a human"


@dataclass(frozen=True)
class Champion:
    """The model that is live: its name for people, its files, what its experiment used of the table, and where each of
    its rows went (``splitting.moved``), None where that is not known any more.
    """

    name: str
    files: dict[str, Ref]
    data: Data
    placed: Ref | None


@dataclass(frozen=True)
class Gated:
    """The verdict ``gate``: promoted, kept or needs a human."""

    verdict: Verdict


def gate(
    store: Store,
    cleaned: Cleaned,
    parts: Parts,
    data: Data,
    split: Split,
    settings: Gate,
    seed: int,
    ours: dict[str, Ref],
    champion: Champion | None,
) -> Outcome[Gated]:
    """The verdict on the model ``ours``.

    First its metric on all test rows against ``minimum``. Then, on those that the champion neither learned from nor
    was chosen by, the paired difference: its whole interval over ``-not_worse_by`` promotes, its whole interval under
    it keeps the champion; else, or on fewer than ``settings.rows`` such rows, a human must decide.
    """
    from etude import snapshot

    table = snapshot.from_bytes(store.get(cleaned.table)).take(positions(store, parts)["test"])
    metric: PairedMetric = settings.metric or ("r2" if cleaned.task == "regression" else "accuracy")
    challenger = _Answers.of(_model(store, ours), table, data.target, metric)
    reached = challenger.value
    evidence: dict[str, Any] = {"metric": metric, "test_rows": len(table), "reached": reached}
    low = _short_of_minimum(reached, metric, settings)
    if low:
        return _outcome(store, KEPT, low, evidence)
    if champion is None:
        said = f"test {metric} is {reached:.4f} on {len(table):,} rows, and there is no champion yet"
        return _outcome(store, PROMOTED, said, evidence)
    evidence["champion"] = champion.name
    try:
        fresh = _fresh(store, table, champion)
        if fresh is None:
            said = f"cannot tell: which rows {champion.name} learned from is not known any more"
            return _outcome(store, HUMAN, said, evidence)
        evidence["rows"] = int(fresh.sum())
        if fresh.sum() < settings.rows:
            said = (
                f"cannot tell: {champion.name} has not learned from {fresh.sum():,} of today's {len(table):,} test "
                f"rows, under the {settings.rows:,} of gate.rows"
            )
            return _outcome(store, HUMAN, said, evidence)
        rows = table.filter(fresh)
        theirs = _Answers.of(_model(store, champion.files), rows, data.target, metric)
        mine = _Answers.of(_model(store, ours), rows, data.target, metric)
    except EtudeError as error:
        said = f"cannot tell: {champion.name} does not answer today's rows: {error.code} {error.what}"
        return _outcome(store, HUMAN, said, evidence)
    found = difference(
        metric, mine.statistic, theirs.statistic, len(rows), seed=seed, groups=_groups(rows, split)
    )
    verdict, said = _judged(found, settings, champion.name)
    return _outcome(store, verdict, said, evidence | {"difference": asdict(found)})


@dataclass(frozen=True)
class _Answers:
    """One model's metric on some rows, as a number and as a statistic of the rows."""

    statistic: Any
    value: float

    @classmethod
    def of(cls, model: Model, table: pa.Table, target: str, metric: PairedMetric) -> _Answers:
        clean, _ = model.read(table)
        answers = model.answers(model.outputs(clean))
        if metric in ("accuracy", "log_loss"):
            from etude.encoding.target import label_texts

            truth = np.array(label_texts(table.column(target)), dtype=object)
            statistic = statistic_of(metric, np.zeros(len(truth)), _of_labels(model, answers, truth, metric))
        else:
            actual = np.asarray(table.column(target).cast("float64").to_numpy())
            statistic = statistic_of(metric, actual, answers["prediction"].to_numpy(dtype=np.float64))
        return cls(statistic, float(statistic(np.ones((1, len(table))))[0]))


def _of_labels(model: Model, answers: Any, truth: Any, metric: str) -> Any:
    """Right or wrong, or the probability of the true label: 0 for one that the model does not know."""
    if metric == "accuracy":
        return (answers["prediction"].to_numpy() == truth).astype(np.float64)
    labels = model.encoder.target.labels
    shares = answers[[f"probability_{label}" for label in labels]].to_numpy(dtype=np.float64)
    place = {label: i for i, label in enumerate(labels)}
    codes = np.array([place.get(label, -1) for label in truth])
    return np.where(codes >= 0, shares[np.arange(len(codes)), codes], 0.0)


def _model(store: Store, files: dict[str, Ref]) -> Model:
    from etude import model

    return model.from_files({name: store.get(ref) for name, ref in files.items()})


def _short_of_minimum(reached: float, metric: str, settings: Gate) -> str:
    if settings.minimum is None:
        return ""
    lower = metric in LOWER_IS_BETTER
    fine = reached <= settings.minimum if lower else reached >= settings.minimum
    word = "at most" if lower else "at least"
    return "" if fine else f"test {metric} is {reached:.4f} and must be {word} {settings.minimum:g}"


def _fresh(store: Store, table: pa.Table, champion: Champion) -> Any:
    """True for each row whose content was in neither the champion's train nor its validation rows; None: not known."""
    from etude.columns import parsing
    from etude.row_hash import row_hashes
    from etude.splitting import moved

    if champion.placed is None:
        return None
    schema = _model(store, champion.files).schema
    used = used_columns(schema.names, champion.data)
    hashes = row_hashes(parsing.parse(table, schema, used, lenient=True).table, used)
    known, part = moved.from_bytes(store.get(champion.placed))
    return ~np.isin(hashes, known[(part == 0) | (part == 1)])


def _groups(rows: pa.Table, split: Split) -> Groups | None:
    from etude.evaluation.intervals import Groups

    if split.way != "group":
        return None
    codes = rows.column(str(split.column)).dictionary_encode().combine_chunks().indices.fill_null(-1)
    levels, dense = np.unique(codes.to_numpy(), return_inverse=True)
    return Groups(dense.astype(np.int64), len(levels))


def _judged(found: Difference, settings: Gate, champion: str) -> tuple[str, str]:
    told = (
        f"test {found.metric} {found.ours:.4f}, {champion} {found.theirs:.4f} on the same {found.rows:,} rows"
    )
    if found.low is None or found.high is None:
        return HUMAN, f"cannot tell: {told}, no interval of the difference"
    told += f": better by {found.value:+.4f} ({found.low:+.4f} to {found.high:+.4f})"
    margin = f"the {settings.not_worse_by:g} that it may be worse"
    if found.low >= -settings.not_worse_by:
        return PROMOTED, f"{told}, within {margin}"
    if found.high < -settings.not_worse_by:
        return KEPT, f"{told}, beyond {margin}"
    return HUMAN, f"cannot tell: {told}, on both sides of {margin}"


def _outcome(store: Store, verdict: str, said: str, evidence: dict[str, Any]) -> Outcome[Gated]:
    found = Verdict("gate", verdict, f"{verdict[0].upper()}{verdict[1:]}: {said}.", evidence)
    record = Record(
        metrics={"gate/rows": float(evidence.get("rows", evidence["test_rows"]))},
        tags={"verdict.gate": verdict, "verdict.gate.sentence": found.sentence},
        files=put_files(store, {"gate/gate.json": json.dumps(found.as_json(), indent=1).encode()}),
        summary=found.sentence,
        verdicts=(found,),
    )
    return Outcome(Gated(found), record, found.verdict)
