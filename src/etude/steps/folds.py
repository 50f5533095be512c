"""Folds: what networks of these settings score on train and validation rows that they have not seen.

Cross-validation for small tables, where one validation part is a handful of rows. The test part stays closed. Each
fold's network is a run of its own in small: encoder, early stopping and weights without the rows that it is scored
on. Its stop rows are taken from the fold's other rows by the rules of the split; the held-out rows choose nothing.

So a fold learns from fewer rows than the run's own network, and its score is a little pessimistic for that one. The
interval is that of the pooled rows under the networks as they are: since the networks share rows it is too narrow for
a new training (Bates, Hastie and Tibshirani, "Cross-validation: what does it estimate and how well does it do it?",
JASA 2024); the scores fold by fold show that spread.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from etude.cleaning import used_columns
from etude.errors import DataError, EtudeError
from etude.experiment import Data, Network, Split, Train, digest_of
from etude.outcome import Outcome, Point, Record, put_files
from etude.seeds import derived
from etude.splitting.parts import PARTS
from etude.steps.clean import Cleaned
from etude.steps.encode import arrays, encoded
from etude.steps.measuring import Measured, as_text, methods, named, number, undefined
from etude.steps.split import Parts, certified, positions, rows_of
from etude.steps.train import part, train, trained_network
from etude.store import Ref, Store

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from etude.encoding.target import Target
    from etude.training.fitting import Epoch

OnFoldEpoch = Callable[[int, int, "Epoch"], None]


@dataclass(frozen=True)
class Folded:
    """``outputs``: the scored rows (positions in the cleaned table), their fold from 1, and the answers: a probability
    for each label of the pooled rows, or the value in the target's unit (safetensors). ``digest`` is its sha256.
    """

    outputs: Ref
    score: float | None
    digest: str


@dataclass(frozen=True)
class Answers:
    """What one fold's network says to its held-out rows, ``rows`` being those whose label it can know."""

    rows: NDArray[np.int64]
    answers: NDArray[np.float64]
    unknown: int
    best_epoch: int


def nothing(fold: int, folds: int, epoch: Epoch) -> None:
    """Nobody listens."""


def folds(
    store: Store,
    cleaned: Cleaned,
    parts: Parts,
    data: Data,
    settings: Split,
    network: Network,
    training: Train,
    seed: int,
    on_epoch: OnFoldEpoch = nothing,
) -> Outcome[Folded]:
    """The out-of-fold metrics with intervals, and each fold's.

    Raises DataError E091 for too few rows or groups, and what encode and train raise for a fold.
    """
    from safetensors.numpy import save

    from etude import snapshot
    from etude.encoding import target as targets

    table = snapshot.from_bytes(store.get(cleaned.table))
    dealt = fold_parts(store, cleaned, parts, data, settings, seed)
    pool = np.sort(np.concatenate([positions(store, parts)[name] for name in ("train", "validation")]))
    target = targets.fit(table.column(data.target).take(pool), data.target, cleaned.task)
    answered = []
    for k, fold in enumerate(dealt, start=1):

        def heard(epoch: Epoch, points: tuple[Point, ...], k: int = k) -> None:
            on_epoch(k, len(dealt), epoch)

        try:
            answered.append(
                _answers(
                    store, table, cleaned, fold, data, settings, network, training,
                    derived(seed, f"folds/{k}"), heard, target,
                )
            )  # fmt: skip
        except DataError as error:
            where = f"fold {k} of {len(dealt)}{', ' if error.where else ''}{error.where}"
            raise DataError(error.code, error.what, where=where, value=error.value, mend=error.mend) from None
    truth = table.column(data.target)
    each = [measured_rows(target, truth.take(a.rows), a.answers, None) for a in answered]
    rows = np.concatenate([a.rows for a in answered])
    answers = np.concatenate([a.answers for a in answered])
    pooled = measured_rows(target, truth.take(rows), answers, seed)
    of_fold = np.concatenate([np.full(len(a.rows), k, dtype=np.int64) for k, a in enumerate(answered, 1)])
    outputs = store.put(save({"rows": rows, "fold": of_fold, "answers": np.ascontiguousarray(answers)}))
    folded = Folded(outputs, pooled.metrics[pooled.score].value, outputs.sha256)
    record = _record(store, dealt, answered, each, pooled, outputs)
    if not data.private:  # answers are values in the target's unit
        record = replace(record, files={**record.files, "folds/outputs.safetensors": outputs})
    return Outcome(folded, record, folded.digest)


def fold_parts(
    store: Store, cleaned: Cleaned, parts: Parts, data: Data, settings: Split, seed: int
) -> tuple[Parts, ...]:
    """Each fold as parts of the cleaned table, certified like the split: train, stop rows as validation, held-out rows
    as test. No row of the run's own test part is in any of them.
    """
    from safetensors.numpy import save

    from etude import snapshot
    from etude.row_hash import row_hashes
    from etude.splitting.folds import deal_folds
    from etude.splitting.official import without_test
    from etude.splitting.repeats import told_apart, torn

    table = snapshot.from_bytes(store.get(cleaned.table))
    rows = rows_of(table, cleaned, data, settings, row_hashes(table, used_columns(table.column_names, data)))
    own = positions(store, parts)
    pool = np.sort(np.concatenate([own["train"], own["validation"]]))
    shares = without_test(settings) if cleaned.official else settings
    apart = settings.way in ("random", "stratified") and torn(rows.hashes, own)
    found = []
    for fold in deal_folds(shares, seed, (told_apart(rows) if apart else rows).at(pool)):
        sides = (fold.train, fold.stop, fold.held_out)
        placed = {name: pool[side].astype(np.int64) for name, side in zip(PARTS, sides, strict=True)}
        train, stop, held_out = (len(side) for side in sides)
        left_out = len(rows.hashes) - train - stop - held_out
        certificate = certified(placed, rows, settings, left_out, apart=apart)
        digest = digest_of(certificate["digests"])
        found.append(Parts(store.put(save(placed)), train, stop, held_out, digest))
    _check_held_out(store, found, own, every_row=settings.way != "time")
    return tuple(found)


def _check_held_out(
    store: Store, dealt: list[Parts], own: dict[str, NDArray[np.int64]], *, every_row: bool
) -> None:
    """Counted again from the stored positions: a row is held out once at most, and no test row is touched."""
    touched = [positions(store, fold) for fold in dealt]
    held_out = np.concatenate([fold["test"] for fold in touched])
    used = np.unique(np.concatenate([rows for fold in touched for rows in fold.values()]))
    whole = len(own["train"]) + len(own["validation"])
    twice = len(held_out) - len(np.unique(held_out))
    never = whole - len(held_out) if every_row else 0
    tests = int(np.isin(used, own["test"]).sum())
    if twice or never or tests:
        raise EtudeError(
            "E095", "folds must hold out every row once and no test row", value=(twice, never, tests)
        )


def _answers(
    store: Store,
    table: pa.Table,
    cleaned: Cleaned,
    fold: Parts,
    data: Data,
    settings: Split,
    network: Network,
    training: Train,
    seed: int,
    on_epoch: Callable[[Epoch, tuple[Point, ...]], None],
    target: Target,
) -> Answers:
    from etude.encoding.encoder import Encoder
    from etude.training import inference

    encodings = encoded(store, cleaned, fold, data, settings, seed)[0].outputs
    trained = train(store, encodings, network, training, seed, on_epoch).outputs
    encoder = Encoder.from_bytes(store.get(encodings.encoder))
    held_out = positions(store, fold)["test"]
    known = encoder.target.knows(table.column(data.target).take(held_out))
    rows = part(store, store.put(arrays(encoder, table.take(held_out[known]))))
    model = trained_network(store, encodings, trained, network, training, seed)
    with inference.exact(training.threads):
        outputs = inference.predict(model, rows.numbers, rows.categories).numpy()
    answers = answers_of(outputs, encoder.target, target)
    return Answers(held_out[known], answers, int((~known).sum()), trained.best_epoch)


def answers_of(outputs: NDArray[np.float32], own: Target, pooled: Target) -> NDArray[np.float64]:
    """A fold's outputs in the words of all folds: probabilities float64[n, labels], 0 for a label that the fold did not
    learn, or values float64[n, 1] in the target's unit.
    """
    from etude.evaluation.decision import softmax

    if own.task == "regression":
        return own.restore(outputs[:, :1]).astype(np.float64)
    shares = np.zeros((len(outputs), len(pooled.labels)))
    shares[:, [pooled.labels.index(label) for label in own.labels]] = softmax(outputs)
    return shares


def measured_rows(
    target: Target, truth: pa.ChunkedArray, answers: NDArray[np.float64], seed: int | None
) -> Measured:
    """The metrics of answers in the words of all folds, with intervals when there is a seed."""
    from etude.evaluation.metrics import classification_metrics, regression_metrics, score_name

    if target.task == "classification":
        codes = target.encode(truth)
        metrics = classification_metrics(codes, answers, seed=seed)
        return Measured(codes, answers.argmax(axis=1), metrics, score_name(target.task))
    actual = target.values(truth)
    metrics = regression_metrics(actual, answers[:, 0], seed=seed)
    return Measured(actual, answers[:, 0], metrics, score_name(target.task))


def _record(
    store: Store,
    dealt: tuple[Parts, ...],
    answered: list[Answers],
    each: list[Measured],
    pooled: Measured,
    outputs: Ref,
) -> Record:
    now = time.time_ns() // 1_000_000
    scores = [found.metrics[found.score].value for found in each]
    detail = {
        "metrics": named("folds/", pooled),
        "intervals": dict(methods(pooled)),
        "folds": [
            {
                "rows": {"train": fold.train, "stop": fold.validation, "held_out": fold.test},
                "digest": fold.digest,
                "best_epoch": answer.best_epoch,
                "metrics": named("", found),
            }
            for fold, answer, found in zip(dealt, answered, each, strict=True)
        ],
    }
    points = tuple(
        Point(name, value, k, now)
        for k, (answer, found) in enumerate(zip(answered, each, strict=True), 1)
        for name, value in {**named("fold/", found), "fold/best_epoch": float(answer.best_epoch)}.items()
    )
    unknown = sum(answer.unknown for answer in answered)
    said = (f"{unknown} held-out rows have labels that their fold does not know; they are left out (E086)",)
    shown = " ".join("-" if score is None else number(score) for score in scores)
    return Record(
        metrics=named("folds/", pooled) | {"folds/count": len(dealt), "folds/rows": len(pooled.truth)},
        tags={"folds.sha256": outputs.sha256},
        points=points,
        files=put_files(store, {"folds/folds.json": json.dumps(detail, indent=1).encode()}),
        summary=f"{pooled.score} {as_text(pooled.metrics[pooled.score])} out of {len(dealt)} folds; each {shown}",
        warnings=undefined(pooled, "held-out") + (said if unknown else ()),
    )


def described(dealt: tuple[Parts, ...]) -> str:
    """What would be done, in one phrase for ``etude check``."""

    def between(sizes: list[int]) -> str:
        low, high = min(sizes), max(sizes)
        return f"{low:,}" if low == high else f"{low:,}-{high:,}"

    learned, stopped, held = (between([getattr(f, name) for f in dealt]) for name in PARTS)
    return (
        f"{len(dealt)} folds: each learns from {learned} rows, stops by {stopped}, is scored on {held} others"
    )
