"""Package: encoder, network and schema in one folder that takes raw rows, tried before it is handed on."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from etude.errors import EtudeError
from etude.experiment import Data, Network, Train
from etude.networks.own_source import packages, sources
from etude.outcome import Outcome, Record, put_files
from etude.steps.clean import Cleaned
from etude.steps.collect import Collected
from etude.steps.encode import Encodings
from etude.steps.split import Parts, positions
from etude.steps.test import Tested
from etude.steps.train import Trained, chosen
from etude.store import Ref, Store

if TYPE_CHECKING:
    import pyarrow as pa

    from etude.encoding.encoder import Encoder

EXAMPLE_ROWS = 5


@dataclass(frozen=True)
class Packaged:
    """The model folder's files by name; ``inputs`` the raw columns; ``answers`` the columns of a prediction, each a
    ``string`` or a ``double``; ``example`` a few raw rows as JSON lines; ``packages`` what a user's own network needs.

    ``private``: the example's cells are empty, and no answers are given, since labels are among their names.
    """

    files: dict[str, Ref]
    inputs: tuple[str, ...]
    answers: dict[str, str]
    example: Ref
    digest: str
    packages: tuple[str, ...] = ()


def package(
    store: Store,
    collected: Collected,
    cleaned: Cleaned,
    parts: Parts,
    encodings: Encodings,
    trained: Trained,
    tested: Tested,
    data: Data,
    network: Network,
    settings: Train,
) -> Outcome[Packaged]:
    """The model of this run. Raises EtudeError E130 when the packed model does not answer raw rows."""
    from etude import model, snapshot
    from etude.columns.schema import Schema
    from etude.encoding.encoder import Encoder
    from etude.experiment import digest_of

    schema = Schema.from_json(json.loads(store.get(collected.schema)))
    encoder_bytes = store.get(encodings.encoder)
    encoder = Encoder.from_bytes(encoder_bytes)
    built = chosen(encodings, network, settings).network
    sizes = {
        **asdict(replace(encodings, outputs=trained.outputs).sizes),
        "quantiles": list(trained.quantiles),
    }
    files = model.folder_files(
        schema,
        encoder_bytes,
        store.get(trained.weights),
        built,
        sizes,
        settings.threads,
        decision=tested.decision,
        private=data.private,
        sources=sources(built.kind),
        profile=_profile(store, cleaned, parts, encoder, private=data.private),
    )
    inputs = tuple(column.name for column in encoder.columns)
    table = snapshot.from_bytes(store.get(collected.table)).select(inputs).slice(0, EXAMPLE_ROWS)
    rows = raw_rows(table)
    answers = _tried(files, rows)
    refs = put_files(store, files)
    digest = digest_of({name: ref.sha256 for name, ref in refs.items()})
    example = [dict.fromkeys(inputs)] if data.private else rows
    packaged = Packaged(
        refs,
        inputs,
        {} if data.private else answers,
        store.put(json.dumps(example).encode()),
        digest,
        packages(built.kind),
    )
    size = sum(ref.size for ref in refs.values())
    record = Record(
        metrics={"register/model_bytes": size},
        tags={"model.sha256": digest},
        summary=f"one model of {size / 1e6:.2f} MB that takes {len(inputs)} raw columns",
    )
    return Outcome(packaged, record, digest)


def raw_rows(table: pa.Table) -> list[dict[str, Any]]:
    """Rows as plain JSON values: dates as ISO text, missing as None."""
    import datetime

    def plain(value: Any) -> Any:
        return value.isoformat() if isinstance(value, datetime.datetime) else value

    return [{name: plain(value) for name, value in row.items()} for row in table.to_pylist()]


def _profile(
    store: Store, cleaned: Cleaned, parts: Parts, encoder: Encoder, *, private: bool
) -> dict[str, Any]:
    from etude import snapshot
    from etude.prediction.profile import profile

    names = [column.name for column in encoder.columns]
    table = snapshot.from_bytes(store.get(cleaned.table)).select(names)
    rows = positions(store, parts)
    return profile(table.take(rows["train"]), table.take(rows["validation"]), encoder, private=private)


def _tried(files: dict[str, bytes], rows: list[dict[str, Any]]) -> dict[str, str]:
    """The columns of the answers, after every row got one."""
    import pandas as pd

    from etude import model

    answers = model.from_files(files).predict(pd.DataFrame(rows))
    if len(answers) != len(rows) or answers["prediction"].isna().any():
        raise EtudeError(
            "E130", "the packed model must answer every raw row", value=f"{len(answers)} answers"
        )
    return {str(name): "double" if kind == "float64" else "string" for name, kind in answers.dtypes.items()}
