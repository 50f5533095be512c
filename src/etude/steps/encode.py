"""Encode: an encoder fitted on train rows alone, and the numbers of train and validation.

The test rows stay closed: the test step encodes them itself.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from etude.errors import shown
from etude.experiment import Data, Split, digest_of
from etude.outcome import Outcome, Record, put_files
from etude.private import shown_labels
from etude.steps.clean import Cleaned
from etude.steps.leaks import with_leaks
from etude.steps.split import Parts, codes_of, positions
from etude.store import Ref, Store

if TYPE_CHECKING:
    import pyarrow as pa

    from etude.encoding.encoder import Encoder
    from etude.leaks.look import Scene
    from etude.networks.sizes import Sizes

MOST_NAMES = 20


@dataclass(frozen=True)
class Encodings:
    """The encoder's bytes and, per part, its numbers, categories and targets (safetensors).

    ``unit`` is what one standardised target is worth in the target's own unit; 1 for classes.
    """

    encoder: Ref
    train: Ref
    validation: Ref
    numbers: int
    cardinalities: tuple[int, ...]
    outputs: int
    task: Literal["classification", "regression"]
    unit: float
    digest: str
    train_rows: int
    measured: tuple[int, ...]
    image: tuple[int, int, int] | None = None

    @property
    def sizes(self) -> Sizes:
        """What a network for these numbers is built for."""
        from etude.networks.sizes import Sizes

        return Sizes(self.numbers, self.cardinalities, self.outputs, self.task, self.image, self.measured)


def encode(
    store: Store, cleaned: Cleaned, parts: Parts, data: Data, settings: Split, seed: int
) -> Outcome[Encodings]:
    """Numbers for the network, and what leaks. Raises DataError: E097 a copy of the target, E060 no usable column."""
    outcome, scene = encoded(store, cleaned, parts, data, settings, seed)
    return replace(outcome, record=with_leaks(store, outcome.record, scene))


def encoded(
    store: Store, cleaned: Cleaned, parts: Parts, data: Data, settings: Split, seed: int
) -> tuple[Outcome[Encodings], Scene]:
    """``encode`` without a look for leaks, and the scene that such a look needs."""
    from etude.columns.schema import Schema
    from etude.encoding import encoder as encoding
    from etude.leaks.look import Scene

    schema = Schema.from_json(json.loads(store.get(cleaned.schema)))
    train, validation = _train_and_validation(store, cleaned, parts)
    place = positions(store, parts)["train"]
    features = feature_names(train.column_names, data, settings)
    encoder = encoding.fit(train, schema, data, cleaned.task, seed, features=features)
    known = encoder.target.knows(validation.column(data.target))
    encodings = Encodings(
        encoder=store.put(encoder.to_bytes()),
        train=store.put(arrays(encoder, train, rows=place)),
        validation=store.put(arrays(encoder, validation.filter(known), settings)),
        numbers=len(encoder.number_names),
        cardinalities=encoder.cardinalities,
        outputs=len(encoder.target.labels) or 1,
        task=cleaned.task,
        unit=encoder.target.scale,
        digest=encoder.digest(),
        train_rows=len(train),
        measured=encoder.measured,
        image=encoder.image,
    )
    record = _record(store, encoder, data, features, encoder.counts(validation), int((~known).sum()))
    arrays_digest = digest_of([encodings.train.sha256, encodings.validation.sha256])
    record = replace(record, tags={**record.tags, "encoded.sha256": arrays_digest})
    left_out = {column.name for column in encoder.left_out}
    used = [name for name in features if name not in left_out]
    scene = Scene(train, place, schema, data, settings, used, cleaned.task == "regression", seed)
    return Outcome(encodings, record, encodings.digest), scene


def _train_and_validation(store: Store, cleaned: Cleaned, parts: Parts) -> tuple[pa.Table, pa.Table]:
    """The whole table is given back before anything is learned."""
    from etude import snapshot

    table = snapshot.from_bytes(store.get(cleaned.table))
    rows = positions(store, parts)
    return table.take(rows["train"]), table.take(rows["validation"])


def feature_names(names: list[str], data: Data, settings: Split) -> list[str]:
    """The columns that may become features: not the target, not dropped, not the split's own group or part."""
    apart = {data.target, *data.drop}
    if settings.way in ("group", "column"):
        apart.add(str(settings.column))
    return [name for name in names if name not in apart]


def arrays(
    encoder: Encoder,
    table: pa.Table,
    settings: Split | None = None,
    rows: np.ndarray[Any, np.dtype[np.int64]] | None = None,
) -> bytes:
    """``numbers`` float32[n, d], ``categories`` int64[n, c], ``target`` int64[n] or float32[n], as safetensors; where
    ``settings`` split by group, ``groups`` int64[n], equal for rows of one group; ``rows`` int64[n] as they are given,
    where each stands in the cleaned table.
    """
    from safetensors.numpy import save

    columns = encoder.transform(table)
    target = encoder.target.encode(table.column(encoder.target.name))
    if encoder.target.task == "regression":
        target = target.astype(np.float32)
    found = {"numbers": columns.numbers, "categories": columns.categories, "target": target}
    if settings is not None and settings.way == "group":
        found["groups"] = codes_of(table.column(str(settings.column)))
    if rows is not None:
        found["rows"] = rows
    content: bytes = save({name: np.ascontiguousarray(values) for name, values in found.items()})
    return content


def _record(
    store: Store, encoder: Encoder, data: Data, features: list[str], unseen: Any, unknown: int
) -> Record:
    left_out = {item.name: item.reason for item in encoder.left_out}
    described = {
        "columns_in": features,
        "numbers_out": list(encoder.number_names),
        "cardinalities": list(encoder.cardinalities),
        "left_out": left_out,
        "labels": shown_labels(encoder.target.labels, private=data.private),
        "unseen_in_validation": unseen,
    }
    width = len(encoder.number_names)
    summary = f"{len(features)} columns to {width} numbers and {len(encoder.cardinalities)} categories"
    return Record(
        metrics={
            "encode/columns_in": len(features),
            "encode/numbers_out": width,
            "encode/categories_out": len(encoder.cardinalities),
            "encode/columns_left_out": len(left_out),
        },
        tags={"encoder.sha256": encoder.digest()},
        files=put_files(
            store, {"encode/encoder.json": json.dumps(described, ensure_ascii=False, indent=1).encode()}
        ),
        summary=summary,
        warnings=_left_out_warnings(left_out) + _unknown_warnings(unknown),
    )


def _left_out_warnings(left_out: dict[str, str]) -> tuple[str, ...]:
    """One line for each reason, with the columns that it holds for."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in left_out.items():
        by_reason.setdefault(reason, []).append(shown(name))
    return tuple(
        f"left out: {', '.join(names[:MOST_NAMES])}{' ...' if len(names) > MOST_NAMES else ''} "
        f"({reason}, {_left_out_code(reason)})"
        for reason, names in by_reason.items()
    )


def _left_out_code(reason: str) -> str:
    codes = {"all missing": "E060", "constant": "E061", "id-like": "E064"}
    return next((code for start, code in codes.items() if reason.startswith(start)), "E061")


def _unknown_warnings(rows: int) -> tuple[str, ...]:
    told = f"{rows} validation rows have labels that train does not know; they are left out (E086)"
    return (told,) if rows else ()
