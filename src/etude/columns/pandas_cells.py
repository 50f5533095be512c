"""A pandas frame as the raw table that ``infer`` and ``parse`` take."""

from __future__ import annotations

import datetime
import numbers
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np

from etude.errors import DataError, shown

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


def from_frame(frame: pd.DataFrame) -> pa.Table:
    """The frame's columns with native types; NaN, NaT and None are null, the index is left out.

    A column of mixed objects becomes text. Raises DataError E036 for names that occur twice, E040 for cells that are
    no scalars.
    """
    import pandas as pd
    import pyarrow as pa

    names = [str(name) for name in frame.columns]
    if len(set(names)) < len(names) or isinstance(frame.columns, pd.MultiIndex):
        twice = max(names, key=names.count)
        raise DataError(
            "E036", "column names must be plain and different", value=twice, mend="rename the columns"
        )
    columns = [_column(frame.iloc[:, i], name) for i, name in enumerate(names)]
    return pa.table(columns, names=names)


def _column(series: pd.Series[Any], name: str) -> pa.ChunkedArray:
    import pandas as pd
    import pyarrow as pa

    if isinstance(series.dtype, pd.CategoricalDtype):
        levels = _column(pd.Series(series.cat.categories), name)
        codes = series.cat.codes.to_numpy()
        return levels.take(pa.array(codes, mask=codes < 0))
    if isinstance(series.dtype, pd.PeriodDtype):
        series = series.dt.to_timestamp()
    if isinstance(series.dtype, pd.SparseDtype):
        series = series.astype(series.dtype.subtype)
    if isinstance(series.dtype, pd.DatetimeTZDtype):
        # pyarrow asks such a series for its .values, which pandas 3.1 warns about
        instants = pa.array(series.dt.tz_convert(None), from_pandas=True)
        return pa.chunked_array([instants.cast(pa.timestamp(instants.type.unit, "UTC"))])
    if series.dtype == object:
        return pa.chunked_array([_objects(series, name)])
    try:
        array = pa.array(series, from_pandas=True)
    except (pa.ArrowException, TypeError):
        raise _unknown(name, series.dtype) from None
    return array if isinstance(array, pa.ChunkedArray) else pa.chunked_array([array])


def _objects(series: pd.Series[Any], name: str) -> pa.Array:
    """Objects of one type as that type, all others as text."""
    import pandas as pd
    import pyarrow as pa

    cells = [None if missing else cell for cell, missing in zip(series, pd.isna(series), strict=True)]
    types = {_type_of(cell) for cell in cells if cell is not None}
    if types <= {"whole", "float"} or len(types) == 1:
        try:
            return pa.array([_native(cell, types) for cell in cells])
        except (pa.ArrowException, OverflowError):
            pass
    return pa.array([None if cell is None else _spelled(cell, name) for cell in cells], pa.string())


def _type_of(cell: object) -> str:
    types: tuple[tuple[str, Any], ...] = (
        ("truth", (bool, np.bool_)),
        ("whole", numbers.Integral),
        ("float", (float, np.floating)),
        ("decimal", Decimal),
        ("instant" if getattr(cell, "tzinfo", None) is None else "zoned", datetime.datetime),
        ("day", datetime.date),
        ("text", str),
    )
    return next((name for name, type_ in types if isinstance(cell, type_)), "other")


def _native(cell: Any, types: set[str]) -> Any:
    """The cell as pyarrow takes it beside the others of its column."""
    if cell is None:
        return None
    if types == {"whole", "float"}:
        return float(cell)
    if types == {"decimal"}:
        return str(cell)
    return cell.item() if isinstance(cell, np.generic) else cell


def _spelled(cell: Any, name: str) -> str:
    """The text that a file would hold: 250.0 as "250", other floats by their shortest decimal."""
    kind = _type_of(cell)
    if kind == "other":
        raise _unknown(name, type(cell).__name__)
    if kind == "float":
        return str(int(cell)) if float(cell).is_integer() and abs(cell) < 1e15 else repr(float(cell))
    return str(int(cell)) if kind == "whole" else str(cell)


def _unknown(name: str, found: object) -> DataError:
    return DataError(
        "E040",
        "a column must hold numbers, texts, truth values or dates",
        where=f"column {shown(name)}",
        value=str(found),
        mend="flatten the column, or leave it out",
    )
