"""JSON lines: one object a line, every value as the text that stands there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from etude.errors import DataError
from etude.reading.byte_streams import Reader
from etude.reading.memory import check_fits, free_bytes

if TYPE_CHECKING:
    import pyarrow as pa

CHUNK = 1 << 20
MAX_LINE_BYTES = 32 << 20
MAX_COLUMNS = 10_000
BYTES_PER_CELL = 8


class _NestedError(ValueError):
    pass


class _TwiceError(ValueError):
    pass


def is_json(head: bytes) -> bool:
    """Whether the first line is a JSON object, or an array of objects begins."""
    start = head.lstrip()
    if start.startswith(b"["):
        return start[1:].lstrip().startswith(b"{")
    try:
        return start.startswith(b"{") and isinstance(json.loads(start.split(b"\n", 1)[0]), dict)
    except (ValueError, RecursionError):
        return start[1:].lstrip().startswith(b'"') and start.rstrip().endswith(b"}")


def read_json_lines(text: Reader, where: str) -> tuple[pa.Table, list[int]]:
    """The table, columns in the order of their first appearance, and the line of each row.

    Numbers keep their spelling, true and false are text, an empty string and null are null, and so is a key that a
    line does not have. Raises DataError: E014 for a line that is no object, E016, E036 for a key given twice, E040
    for lists and objects inside.
    """
    import pyarrow as pa

    columns: dict[str, list[str | None]] = {}
    lines: list[int] = []
    free = free_bytes()
    for number, line in enumerate(_lines(text, where), start=1):
        if not line.strip():
            continue
        for name, value in _values(line, f"{where}:{number}").items():
            cells = columns.setdefault(name, [])
            cells.extend([None] * (len(lines) - len(cells)))
            cells.append(value)
        lines.append(number)
        if len(columns) > MAX_COLUMNS:
            what, mend = f"a table must have at most {MAX_COLUMNS:,} columns", "are the keys themselves data?"
            raise DataError("E039", what, where=f"{where}:{number}", value=len(columns), mend=mend)
    check_fits(len(columns) * len(lines) * BYTES_PER_CELL, free, where)
    arrays = {}
    for name in list(columns):
        cells = columns.pop(name)
        arrays[name] = pa.array(cells + [None] * (len(lines) - len(cells)), pa.string())
    return pa.table(arrays), lines


def _lines(text: Reader, where: str) -> Iterator[bytes]:
    waiting, count = b"", 0
    while piece := text.read(CHUNK):
        *whole, waiting = (waiting + piece).split(b"\n")
        count += len(whole)
        yield from whole
        if len(waiting) > MAX_LINE_BYTES:
            what = f"a line must be shorter than {MAX_LINE_BYTES:,} bytes"
            raise DataError("E016", what, where=f"{where}:{count + 1}", mend="write one object per line")
    if waiting:
        yield waiting


def _values(line: bytes, at: str) -> dict[str, str | None]:
    try:
        found = json.loads(line, parse_int=str, parse_float=str, parse_constant=str, object_pairs_hook=_pairs)
    except _NestedError as error:
        mend = "flatten it, or leave it out"
        raise DataError("E040", "a value must be plain", where=at, value=error, mend=mend) from error
    except _TwiceError as error:
        raise DataError("E036", "a key must stand once", where=at, value=error, mend="rename one") from error
    except (ValueError, RecursionError) as error:
        value = line[:100].decode(errors="replace")
        mend = "write one whole object per line"
        raise DataError(
            "E014", "each line must be a JSON object", where=at, value=value, mend=mend
        ) from error
    if not isinstance(found, dict):
        value = line[:100].decode(errors="replace")
        mend = "write one object per line, without brackets around them"
        raise DataError("E014", "each line must be a JSON object", where=at, value=value, mend=mend)
    return found


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, str | None]:
    values: dict[str, str | None] = {}
    for name, value in pairs:
        if name in values:
            raise _TwiceError(name)
        if isinstance(value, (dict, list)):
            raise _NestedError(name)
        values[name] = {True: "true", False: "false"}[value] if isinstance(value, bool) else value or None
    return values
