"""A folder or a pattern of files as one table, when all of them have the same columns."""

from __future__ import annotations

import glob
import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from etude.errors import DataError, printable
from etude.reading.local_files import unreachable

if TYPE_CHECKING:
    import pyarrow as pa

ENDINGS = (".csv", ".tsv", ".txt", ".parquet", ".pq", ".feather", ".arrow", ".jsonl", ".ndjson", ".xlsx")
PACKED = (".gz", ".zst", ".zip")
MAX_FILES = 10_000


def files_of_pattern(pattern: str, folder: Path) -> list[Path]:
    """The files that match, sorted by path, so that the rows' order is no accident."""
    found = glob.glob(pattern, root_dir=folder, recursive=True)  # noqa: PTH207 -- Path.glob refuses absolute patterns
    paths = [path for name in found if (path := folder / name).is_file()]
    if not paths:
        mend = f"it starts at {printable(str(folder))}"
        raise DataError("E001", "the pattern must match a file", where=printable(pattern), mend=mend)
    return sorted(limited(paths, pattern), key=os.fspath)


def files_of_folder(folder: Path, shown: str) -> list[Path]:
    """The files of a folder whose names end like tables, sorted; hidden ones and folders inside are left out."""
    try:
        found = [
            path for path in folder.iterdir() if not path.name.startswith(".") and is_table_name(path.name)
        ]
    except PermissionError as error:
        raise unreachable(folder, shown, error) from error
    paths = [path for path in found if path.is_file()]
    if not paths:
        mend = f"name a file, or a folder of files such as {', '.join(ENDINGS)}"
        raise DataError("E002", "a folder must hold tables", where=shown, value="a folder without", mend=mend)
    return sorted(limited(paths, shown), key=os.fspath)


def is_table_name(name: str) -> bool:
    lowered = name.lower()
    for ending in PACKED:
        lowered = lowered.removesuffix(ending)
    return lowered.endswith(ENDINGS)


def limited(paths: list[Any], shown: str) -> list[Any]:
    """The paths, when they are not too many: E043."""
    if len(paths) > MAX_FILES:
        what, value = f"data.source must lead to at most {MAX_FILES:,} files", f"{len(paths):,} files"
        raise DataError("E043", what, where=printable(shown), value=value, mend="join them")
    return paths


def stacked(tables: list[pa.Table], names: list[str], where: str) -> pa.Table:
    """The tables one below the other, columns in the first one's order; E043 with the difference."""
    import pyarrow as pa

    first = tables[0]
    for table, name in zip(tables[1:], names[1:], strict=True):
        refuse_other_columns(first.column_names, table.column_names, names[0], name, where)
    ordered = [table.select(first.column_names) for table in tables]
    for column in first.schema:
        for table, name in zip(ordered, names, strict=True):
            kind = table.schema.field(column.name).type
            if kind != column.type and not pa.types.is_null(kind) and not pa.types.is_null(column.type):
                _refuse(names[0], name, f"{column.name!r} is {kind}, not {column.type}", where)
    return pa.concat_tables(ordered, promote_options="default")


def refuse_other_columns(wanted: list[str], found: list[str], first: str, other: str, where: str) -> None:
    """E043 when the file ``other`` does not have the columns of the file ``first``, in whatever order."""
    missing = [c for c in wanted if c not in found]
    more = [c for c in found if c not in wanted]
    if missing or more:
        difference = [f"without {c!r}" for c in missing] + [f"with {c!r}" for c in more]
        _refuse(first, other, ", ".join(difference), where)


def _refuse(first: str, other: str, difference: str, where: str) -> None:
    raise DataError(
        "E043",
        "the files of a table must have the same columns",
        where=f"{where}: {printable(other)}",
        value=difference,
        mend=f"the first file is {printable(first)}",
    )


def digest_of_files(names: list[str], digests: list[str]) -> str:
    """sha256 over each file's own sha256 and name, in order."""
    listed = "".join(f"{digest}  {name}\n" for digest, name in zip(digests, names, strict=True))
    return hashlib.sha256(listed.encode()).hexdigest()
