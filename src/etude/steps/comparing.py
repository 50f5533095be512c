"""The one test beside plain models, and slice by slice: on the same rows, with nothing chosen from them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from etude.evaluation.gain import Gain, gains
from etude.evaluation.gain import judge as judge_gains
from etude.evaluation.rivals import Rows, rivals
from etude.evaluation.slices import Slice, slices
from etude.evaluation.slices import judge as judge_slices
from etude.steps.clean import Cleaned
from etude.steps.encode import Encodings
from etude.steps.measuring import Measured, named, of_classes, of_values
from etude.store import Store
from etude.verdicts import Verdict

if TYPE_CHECKING:
    import pyarrow as pa

    from etude.encoding.encoder import Encoder
    from etude.evaluation.intervals import Groups
    from etude.training.fitting import Part

ERROR = "mean absolute error"


@dataclass(frozen=True)
class Compared:
    """Metrics of each plain model, the network's gains over them, the slices, and what they say."""

    metrics: dict[str, float]
    gains: tuple[Gain, ...]
    slices: tuple[Slice, ...]
    verdicts: tuple[Verdict, ...]


def compared(
    store: Store,
    cleaned: Cleaned,
    encodings: Encodings,
    encoder: Encoder,
    table: pa.Table,
    train: Part,
    test: Part,
    found: Measured,
    groups: Groups | None,
    *,
    seed: int,
    threads: int,
    private: bool,
) -> Compared:
    """``table``: the raw test rows, in the order of ``test``."""
    from etude.columns.schema import Schema

    target = encoder.target
    known, asked = (Rows(p.numbers.numpy(), p.categories.numpy(), p.target.numpy()) for p in (train, test))
    others = rivals(known, asked, encodings.cardinalities, len(target.labels), seed=seed, threads=threads)
    metrics: dict[str, float] = {}
    answers = {}
    for rival in others:
        if target.task == "classification":
            answers[rival.name] = rival.answers.argmax(axis=1)
            measured = of_classes(
                target, found.truth, rival.answers, answers[rival.name], None, private=private
            )
        else:
            answers[rival.name] = target.restore(rival.answers)
            measured = of_values(found.truth, answers[rival.name], None)
        metrics |= named(f"baseline_{rival.name}/", measured)
    ahead = gains(target.task, found.truth, found.prediction, answers, seed=seed, groups=groups)
    for gain in ahead:
        metrics[f"test/gain_over_{gain.rival}"] = gain.gain
        if gain.interval is not None:
            metrics[f"test/gain_over_{gain.rival}_low"] = gain.interval.low
            metrics[f"test/gain_over_{gain.rival}_high"] = gain.interval.high
    right = target.task == "classification"
    values = found.truth == found.prediction if right else np.abs(found.truth - found.prediction)
    used = {column.name for column in encoder.columns}
    schema = Schema.from_json(json.loads(store.get(cleaned.schema)))
    parts = slices(
        table,
        [column for column in schema.columns if column.name in used],
        values.astype(np.float64),
        higher_is_better=right,
        groups=groups,
        private=private,
    )
    verdicts = (
        judge_gains(ahead, found.score, len(found.truth)),
        judge_slices(parts, found.score if right else ERROR),
    )
    finite = {name: value for name, value in metrics.items() if np.isfinite(value)}
    return Compared(finite, ahead, parts, verdicts)
