"""Dates in text: the shape that all values of a column share, and their instants.

A shape is a name of ``SHAPES`` or a strptime format of the user. Years run from 1000 to 2261 (nanoseconds end there);
two-digit years follow POSIX: 69-99 are 19xx. Month names are English.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

_CLOCK = (
    r"(?P<H>\d{1,2}):(?P<M>\d{2})(?::(?P<S>\d{2})(?:[.,](?P<f>\d{1,9}))?)?(?:\s*(?P<p>[AaPp])\.?[Mm]\.?)?"
)
_ZONE = r"(?:\s*(?P<z>Z|UTC|GMT|[+-]\d{2}:?\d{2}|[+-]\d{2}))?"
_TIME = rf"(?:(?:[Tt]|,?\s+){_CLOCK}{_ZONE})?"
_WEEKDAY = r"(?:[A-Za-z]{3,9},?\s+)?"
_MONTH = r"(?i:(?P<b>jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)(?:[a-z]{0,6})\.?)"
SHAPES = {
    "year-month-day": rf"^(?P<y>\d{{4}})[-/.](?P<m>\d{{1,2}})[-/.](?P<d>\d{{1,2}}){_TIME}$",
    "yearmonthdayTtime": r"^(?P<y>\d{4})(?P<m>\d{2})(?P<d>\d{2})T(?P<H>\d{2}):?(?P<M>\d{2}):?(?P<S>\d{2})"
    + _ZONE
    + "$",
    "year-month": r"^(?P<y>\d{4})[-/](?P<m>\d{2})$",
    "day/month/year": rf"^(?P<d>\d{{1,2}})[-/.](?P<m>\d{{1,2}})[-/.](?P<y>\d{{4}}){_TIME}$",
    "month/day/year": rf"^(?P<m>\d{{1,2}})[-/.](?P<d>\d{{1,2}})[-/.](?P<y>\d{{4}}){_TIME}$",
    "day/month/yy": rf"^(?P<d>\d{{1,2}})/(?P<m>\d{{1,2}})/(?P<y>\d{{2}}){_TIME}$",
    "month/day/yy": rf"^(?P<m>\d{{1,2}})/(?P<d>\d{{1,2}})/(?P<y>\d{{2}}){_TIME}$",
    "yy/month/day": rf"^(?P<y>\d{{2}})/(?P<m>\d{{1,2}})/(?P<d>\d{{1,2}}){_TIME}$",
    "day name year": rf"^{_WEEKDAY}(?P<d>\d{{1,2}})(?:st|nd|rd|th)?[-/ ]?{_MONTH},?[-/ ](?P<y>\d{{4}}|\d{{2}}){_TIME}$",
    "name day year": rf"^{_WEEKDAY}{_MONTH} (?P<d>\d{{1,2}})(?:st|nd|rd|th)?,? (?P<y>\d{{4}}){_TIME}$",
    "name day time year": rf"^{_WEEKDAY}{_MONTH}\s+(?P<d>\d{{1,2}})\s+{_CLOCK}{_ZONE} (?P<y>\d{{4}})$",
    "name year": rf"^{_MONTH}[- ](?P<y>\d{{4}})$",
}
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
# One pass tells a column of words from a column that may be dates.
LIKE = rf"(?i)^(\d{{4}}[-/.]\d{{1,2}}|\d{{8}}T|\d{{1,2}}[-/.]\d{{1,2}}[-/.]\d{{2}}|.{{0,14}}({'|'.join(MONTHS)}))"
FIRST_YEAR, LAST_YEAR = 1000, 2261

Numbers = np.ndarray[Any, np.dtype[np.int64]]
Marks = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True)
class Instants:
    """Microseconds since 1970 (UTC where ``zoned``), and for each text whether it is ``shaped`` so and ``valid``."""

    microseconds: np.ndarray[Any, np.dtype[np.int64]]
    shaped: Marks
    valid: np.ndarray[Any, np.dtype[np.bool_]]
    zoned: np.ndarray[Any, np.dtype[np.bool_]]


def readings(text: pa.Array) -> dict[str, Instants]:
    """The shapes that every text has, with what each makes of them."""
    import pyarrow.compute as pc

    if not len(text) or not pc.all(pc.match_substring_regex(text, LIKE)).as_py():
        return {}
    fitting = [n for n, pattern in SHAPES.items() if pc.all(pc.match_substring_regex(text, pattern)).as_py()]
    return {name: read(text, name) for name in fitting}


def read(text: pa.Array, shape: str) -> Instants:
    """The instants of the texts in one shape."""
    return _read_shape(text, SHAPES[shape]) if shape in SHAPES else _read_format(text, shape)


def _read_shape(text: pa.Array, pattern: str) -> Instants:
    import pyarrow.compute as pc

    parts = _Parts(pc.extract_regex(text, pattern))
    days, real = _days(_years(parts.number("y")), _months(parts), parts.number("d", 1))
    seconds, clock = _seconds(parts)
    offset, zoned = _offset(parts)
    fraction = np.array([int(part[:6].ljust(6, "0")) for part in parts.words("f")], dtype=np.int64)
    microseconds = (days * 86_400 + seconds - offset) * 1_000_000 + fraction
    return Instants(microseconds, parts.shaped, parts.shaped & real & clock, zoned)


class _Parts:
    """The named groups of a pattern as arrays of numbers or words; an absent group is its ``empty`` value."""

    def __init__(self, struct: pa.StructArray) -> None:
        self.struct = struct
        self.names = {field.name for field in struct.type}
        self.shaped = np.asarray(struct.is_valid())

    def words(self, name: str) -> pa.Array | list[str]:
        import pyarrow.compute as pc

        if name not in self.names:
            return [""] * len(self.struct)
        return pc.fill_null(pc.struct_field(self.struct, name), "").to_pylist()

    def number(self, name: str, empty: int = 0) -> Numbers:
        import pyarrow.compute as pc

        if name not in self.names:
            return np.full(len(self.struct), empty, dtype=np.int64)
        part = pc.fill_null(pc.struct_field(self.struct, name), "")
        return np.asarray(pc.if_else(pc.equal(part, ""), str(empty), part).cast("int64"))


def _years(years: Numbers) -> Numbers:
    return np.where(years < 69, years + 2000, np.where(years < 100, years + 1900, years))


def _months(parts: _Parts) -> Numbers:
    if "b" not in parts.names:
        return parts.number("m", 1)
    return np.array(
        [MONTHS.index(word.lower()) + 1 if word else 0 for word in parts.words("b")], dtype=np.int64
    )


def _days(years: Numbers, months: Numbers, days: Numbers) -> tuple[Numbers, Marks]:
    """Days since 1970, and which of them the calendar has (years in range)."""
    real = (years >= FIRST_YEAR) & (years <= LAST_YEAR) & (months >= 1) & (months <= 12) & (days >= 1)
    first = (np.where(real, years, 1970) - 1970) * 12 + np.where(real, months, 1) - 1
    month = first.astype("datetime64[M]")
    day = month.astype("datetime64[D]") + (np.where(real, days, 1) - 1)
    return day.astype(np.int64), real & (day.astype("datetime64[M]") == month)


def _seconds(parts: _Parts) -> tuple[Numbers, Marks]:
    hours, minutes, seconds = parts.number("H"), parts.number("M"), parts.number("S")
    half = np.array([word.lower() for word in parts.words("p")], dtype="U1")
    real = (minutes < 60) & (seconds < 60) & np.where(half == "", hours < 24, (hours >= 1) & (hours <= 12))
    hours = np.where(half == "", hours, hours % 12 + 12 * (half == "p"))
    return hours * 3600 + minutes * 60 + seconds, real


def _offset(parts: _Parts) -> tuple[Numbers, Marks]:
    """Seconds east of UTC, and where a zone is named."""
    zones = parts.words("z")
    known = {zone: _offset_of(zone) for zone in set(zones)}
    return np.array([known[z] for z in zones], dtype=np.int64), np.array([z != "" for z in zones], dtype=bool)


def _offset_of(zone: str) -> int:
    if zone in ("", "Z", "UTC", "GMT"):
        return 0
    digits = zone[1:].replace(":", "").ljust(4, "0")
    return (int(digits[:2]) * 60 + int(digits[2:])) * (-60 if zone[0] == "-" else 60)


def _read_format(text: pa.Array, spelling: str) -> Instants:
    """By pandas' strptime, which has no locale of its own; what does not parse is not shaped."""
    import pandas as pd

    zoned = "%z" in spelling or "%Z" in spelling
    found = pd.to_datetime(
        pd.Series(text.to_pylist(), dtype=object), format=spelling, errors="coerce", utc=zoned
    )
    shaped = found.notna().to_numpy()
    times = found.dt.tz_localize(None) if zoned else found
    microseconds = times.to_numpy().astype("datetime64[us]").astype(np.int64)
    years = times.dt.year.fillna(0).to_numpy()
    valid = shaped & (years >= FIRST_YEAR) & (years <= LAST_YEAR)
    return Instants(microseconds, shaped, valid, np.full(len(text), zoned))
