"""Split: every row dealt to train, validation or test, with a certificate that other code wrote."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from etude.cleaning import used_columns
from etude.errors import EtudeError
from etude.experiment import Data, Split, digest_of
from etude.outcome import Outcome, Record, put_files
from etude.splitting import deal as splitting
from etude.splitting.certificate import certificate
from etude.splitting.imbalance import imbalance
from etude.splitting.moments import gap_in_unit
from etude.splitting.official import deal_beside, with_official
from etude.splitting.parts import LEFT_OUT, PARTS, Dealt, Rows
from etude.steps.clean import Cleaned
from etude.store import Ref, Store

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from etude.splitting.moved import Moved


@dataclass(frozen=True)
class Parts:
    """Row positions in the cleaned table (safetensors: train, validation, test), and the digest of the three;
    ``placed`` tells a later split of the same experiment where each row was.
    """

    rows: Ref
    train: int
    validation: int
    test: int
    digest: str
    placed: Ref | None = None


def split(
    store: Store, cleaned: Cleaned, data: Data, settings: Split, seed: int, earlier: Ref | None = None
) -> Outcome[Parts]:
    """Three parts without a row in common; official test rows are the test part.

    ``earlier`` is a split of the same experiment (``Parts.placed``): rows that moved since are counted.
    Raises DataError E081-E099 when the table does not allow the split.
    """
    from safetensors.numpy import save

    from etude.splitting import moved

    rows = _rows(store, cleaned, data, settings)
    dealt = _dealt(settings, seed, rows, cleaned)
    placed = {name: np.flatnonzero(dealt.part == i) for i, name in enumerate(PARTS)}
    found = certified(placed, rows, settings, int((dealt.part == LEFT_OUT).sum()), apart=dealt.apart)
    digest = digest_of(found["digests"])
    parts = Parts(
        rows=store.put(save({name: positions.astype(np.int64) for name, positions in placed.items()})),
        train=len(placed["train"]),
        validation=len(placed["validation"]),
        test=len(placed["test"]),
        digest=digest,
        placed=store.put(moved.to_bytes(rows.hashes, dealt.part)),
    )
    if data.private and rows.classes:
        found["balance"] = _numbered(found["balance"])
    since = None
    if earlier is not None and store.holds(earlier):
        since = moved.moved_rows(*moved.from_bytes(store.get(earlier)), rows.hashes, dealt.part)
    warnings = dealt.warnings + (imbalance(rows.target) if rows.classes else ())
    record = _record(store, found, digest, warnings, official=bool(cleaned.official), since=since)
    return Outcome(parts, _with_rows(record, parts.placed, private=data.private), digest)


def _with_rows(record: Record, placed: Ref | None, *, private: bool) -> Record:
    """Where each row went, by its hash: a later gate asks which rows this model learned from. A hash of a private row
    would tell whoever guesses the row that it is there.
    """
    assert placed is not None
    tags = {**record.tags, "split.rows": f"{placed.sha256}:{placed.size}"}
    files = dict(record.files) if private else {**record.files, "split/rows.safetensors": placed}
    return replace(record, tags=tags, files=files)


def _dealt(settings: Split, seed: int, rows: Rows, cleaned: Cleaned) -> Dealt:
    if not cleaned.official:
        return splitting.deal(settings, seed, rows)
    source = np.arange(len(rows.hashes) - cleaned.official)
    official = np.arange(len(source), len(rows.hashes))
    dealt = deal_beside(settings, seed, rows.at(source), rows.at(official))
    return Dealt(with_official(dealt, cleaned.official), dealt.warnings, dealt.apart)


def _rows(store: Store, cleaned: Cleaned, data: Data, settings: Split) -> Rows:
    """The table itself is given back before the rows are dealt: at three million rows that is half of the memory."""
    from etude import snapshot
    from etude.row_hash import row_hashes

    table = snapshot.from_bytes(store.get(cleaned.table))
    return rows_of(table, cleaned, data, settings, row_hashes(table, used_columns(table.column_names, data)))


def rows_of(
    table: pa.Table, cleaned: Cleaned, data: Data, settings: Split, hashes: NDArray[np.uint64]
) -> Rows:
    """What a split looks at of the table."""
    column = table.column(settings.column) if settings.column else None
    target = table.column(data.target)
    if cleaned.task == "regression":
        return Rows(hashes, target.cast("float64").to_numpy(), False, column)
    names, codes = _labels(target)
    return Rows(hashes, codes, True, column, names)


def positions(store: Store, parts: Parts) -> dict[str, np.ndarray[Any, np.dtype[np.int64]]]:
    """Row positions in the cleaned table by part."""
    from safetensors.numpy import load

    found: dict[str, np.ndarray[Any, np.dtype[np.int64]]] = load(store.get(parts.rows))
    return found


def _labels(target: pa.ChunkedArray) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """The labels' texts as the target's encoder spells them, in order, and each row's position among them."""
    from etude.encoding.target import label_texts

    levels = target.unique()
    names, places = np.unique(np.array(label_texts(levels), dtype=str), return_inverse=True)
    return tuple(names.tolist()), places.astype(np.int64)[codes_of(target)]


def codes_of(column: pa.ChunkedArray) -> NDArray[np.int64]:
    """Each row's position among the column's distinct values, in the order in which they first stand there."""
    import pyarrow.compute as pc

    found = pc.index_in(column, value_set=column.unique()).to_numpy(zero_copy_only=False)
    codes: NDArray[np.int64] = found.astype(np.int64)
    return codes


def certified(
    parts: dict[str, np.ndarray[Any, Any]], rows: Rows, settings: Split, left_out: int, *, apart: bool = False
) -> dict[str, Any]:
    """The certificate. A split that breaks its own promise is a fault of ours, and stops the run.

    ``apart``: equal rows may stand in several parts, they are counted.
    """
    column = rows.column
    found = certificate(
        parts,
        rows.hashes,
        labels=rows.target if rows.classes else None,
        groups=codes_of(column) if column is not None and settings.way == "group" else None,
        times=column.to_numpy() if column is not None and settings.way == "time" else None,
        names=rows.names,
    )
    broken = ["rows_in_two_parts", "groups_across_parts", "train_after_test", "train_after_validation"]
    if settings.way in ("random", "stratified") and not apart:
        broken.append("equal_rows_across_parts")
    for promise in broken:
        if found.get(promise, 0):
            raise EtudeError(
                "E095", f"the split must have 0 {promise.replace('_', ' ')}", value=found[promise]
            )
    gap = gap_in_unit(settings)
    for distance in ("train_to_validation", "validation_to_test"):
        if found.get(distance, gap) < gap:
            raise EtudeError("E095", f"the split must keep its gap from {distance.replace('_', ' ')}")
    if found["rows_in_no_part"] != left_out:
        raise EtudeError("E095", f"the split must leave out {left_out} rows", value=found["rows_in_no_part"])
    return found


def _record(
    store: Store,
    found: dict[str, Any],
    digest: str,
    warnings: tuple[str, ...],
    *,
    official: bool,
    since: Moved | None,
) -> Record:
    rows = found["rows"]
    total = sum(rows.values())
    balance = {
        f"split/{part}_share_{label.replace('/', '|')}": share
        for part, shares in found.get("balance", {}).items()
        if len(shares) <= 20
        for label, share in shares.items()
    }
    summary = ", ".join(f"{name} {count:,} ({count / total:.0%})" for name, count in rows.items())
    summary += " official" if official else ""
    counts = {f"split/{name}_rows": count for name, count in rows.items()}
    if found["rows_in_no_part"]:
        counts["split/left_out_rows"] = found["rows_in_no_part"]
        summary += f", left out {found['rows_in_no_part']:,}"
    if since is not None:
        counts |= {"split/earlier_rows": since.rows, "split/moved_rows": since.moved}
        summary += f"; of {since.rows:,} rows of the earlier split {since.moved:,} moved"
        warnings += _moved_warning(since)
    return Record(
        metrics={**counts, **balance},
        tags={"split.sha256": digest, **{f"split.{name}.sha256": d for name, d in found["digests"].items()}},
        files=put_files(store, {"split/certificate.json": _pretty(found)}),
        summary=summary,
        warnings=warnings + _missing_classes(found),
    )


def _moved_warning(since: Moved) -> tuple[str, ...]:
    """Test scores before and after are not of the same rows, and some of the earlier test rows are now learned from."""
    if not since.from_test:
        return ()
    return (
        f"{since.from_test:,} test rows of the earlier split are not in test any more: split.by: random or group "
        "moves none when rows are appended",
    )


def _numbered(balance: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """The shares under ``class 1`` ... instead of the labels."""
    from etude.encoding.target import label_order
    from etude.private import class_names

    labels = sorted({label for shares in balance.values() for label in shares}, key=label_order)
    name = dict(zip(labels, class_names(len(labels)), strict=True))
    return {part: {name[label]: share for label, share in shares.items()} for part, shares in balance.items()}


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
