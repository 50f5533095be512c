"""Split: every row dealt to train, validation or test, with a certificate that other code wrote."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from etude.cleaning import used_columns
from etude.errors import EtudeError
from etude.experiment import Data, Split, digest_of
from etude.outcome import Outcome, Record, put_files
from etude.splitting import deal as splitting
from etude.splitting.certificate import certificate
from etude.steps.clean import Cleaned
from etude.store import Ref, Store

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Parts:
    """Row positions in the cleaned table (safetensors: train, validation, test), and the digest of the three."""

    rows: Ref
    train: int
    validation: int
    test: int
    digest: str


def split(store: Store, cleaned: Cleaned, data: Data, settings: Split, seed: int) -> Outcome[Parts]:
    """Three parts without a row in common. Raises DataError E091-E096 when the table does not allow them."""
    from safetensors.numpy import save

    from etude import snapshot
    from etude.row_hash import row_hashes

    table = snapshot.from_bytes(store.get(cleaned.table))
    hashes = row_hashes(table, used_columns(table.column_names, data))
    labels = _labels(table.column(data.target), cleaned.task)
    column = table.column(settings.column) if settings.column else None
    classes = cleaned.task == "classification"
    target = np.unique(labels, return_inverse=True)[1] if classes else labels
    dealt = splitting.deal(settings, seed, splitting.Rows(hashes, target, classes, column))
    rows = {name: np.flatnonzero(dealt.part == i) for i, name in enumerate(splitting.PARTS)}
    found = _certified(rows, hashes, labels if classes else None, column, settings)
    digest = digest_of(found["digests"])
    parts = Parts(
        rows=store.put(save({name: positions.astype(np.int64) for name, positions in rows.items()})),
        train=len(rows["train"]),
        validation=len(rows["validation"]),
        test=len(rows["test"]),
        digest=digest,
    )
    return Outcome(parts, _record(store, found, digest, dealt.warnings), digest)


def positions(store: Store, parts: Parts) -> dict[str, np.ndarray[Any, np.dtype[np.int64]]]:
    """Row positions in the cleaned table by part."""
    from safetensors.numpy import load

    found: dict[str, np.ndarray[Any, np.dtype[np.int64]]] = load(store.get(parts.rows))
    return found


def _labels(target: pa.ChunkedArray, task: str) -> np.ndarray[Any, Any]:
    if task == "regression":
        numbers: np.ndarray[Any, Any] = target.cast("float64").to_numpy()
        return numbers
    return np.array([str(value) for value in target.to_pylist()], dtype=object).astype(str)


def _certified(
    rows: dict[str, np.ndarray[Any, Any]],
    hashes: np.ndarray[Any, Any],
    labels: np.ndarray[Any, Any] | None,
    column: pa.ChunkedArray | None,
    settings: Split,
) -> dict[str, Any]:
    """The certificate. A split that breaks its own promise is a fault of ours, and stops the run."""
    found = certificate(
        {name: positions.tolist() for name, positions in rows.items()},
        hashes.tolist(),
        labels=None if labels is None else labels.tolist(),
        groups=column.to_pylist() if column is not None and settings.by == "group" else None,
        times=column.to_pylist() if column is not None and settings.by == "time" else None,
    )
    broken = ["rows_in_two_parts", "rows_in_no_part", "groups_across_parts", "train_after_test"]
    if settings.by in ("random", "stratified"):
        broken.append("equal_rows_across_parts")
    for promise in broken:
        if found.get(promise, 0):
            raise EtudeError(
                "E095", f"the split must have 0 {promise.replace('_', ' ')}", value=found[promise]
            )
    return found


def _record(store: Store, found: dict[str, Any], digest: str, warnings: tuple[str, ...]) -> Record:
    rows = found["rows"]
    total = sum(rows.values())
    balance = {
        f"split/{part}_share_{label.replace('/', '|')}": share
        for part, shares in found.get("balance", {}).items()
        if len(shares) <= 20
        for label, share in shares.items()
    }
    summary = ", ".join(f"{name} {count:,} ({count / total:.0%})" for name, count in rows.items())
    return Record(
        metrics={**{f"split/{name}_rows": count for name, count in rows.items()}, **balance},
        tags={"split.sha256": digest, **{f"split.{name}.sha256": d for name, d in found["digests"].items()}},
        files=put_files(store, {"split/certificate.json": _pretty(found)}),
        summary=summary,
        warnings=warnings + _missing_classes(found),
    )


def _missing_classes(found: dict[str, Any]) -> tuple[str, ...]:
    balance = found.get("balance", {})
    everything = {label for shares in balance.values() for label in shares}
    return tuple(
        f"{len(everything - set(shares))} of {len(everything)} classes have no row in {part} (E082)"
        for part, shares in balance.items()
        if everything - set(shares)
    )


def _pretty(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, indent=1).encode()
