"""Dates in text: the shape that all values of a column share, and their instants.

A shape is a name of ``SHAPES`` or a strptime format of the user. Years run from 1000 to 2261 (nanoseconds end there);
two-digit years follow POSIX: 69-99 are 19xx. Month names are English.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from etude.errors import ExperimentError

if TYPE_CHECKING:
    import pyarrow as pa

_SECONDS = r"(?::(?P<S>\d{2})(?:[.,](?P<f>\d{1,9}))?)?(?:\s*(?P<p>[AaPp])\.?[Mm]\.?)?"
_CLOCK = rf"(?P<H>\d{{1,2}}):(?P<M>\d{{2}}){_SECONDS}"
_ZONE = r"(?:\s*(?P<z>Z|UTC|GMT|[+-]\d{2}:?\d{2}|[+-]\d{2}))?"
_TIME = rf"(?:(?:[Tt]|,?\s+){_CLOCK}{_ZONE})?"
_ISO_TIME = rf"(?:(?:[Tt]|,?\s+)(?P<H>\d{{1,2}})(?::(?P<M>\d{{2}}){_SECONDS})?{_ZONE})?"
_WEEKDAY = r"(?:[A-Za-z]{3,9},?\s+)?"
_MONTH = r"(?i:(?P<b>jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)(?:[a-z]{0,6})\.?)"
SHAPES = {
    "year-month-day": rf"^(?P<y>\d{{4}})[-/.](?P<m>\d{{1,2}})[-/.](?P<d>\d{{1,2}}){_ISO_TIME}$",
    "hour:minute": rf"^{_CLOCK}$",
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
# Seasons (2012-13) and durations (45:30) are written like these: one that is no date says that none is.
SHARED_SHAPES = ("year-month", "hour:minute")
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
# One pass tells a column of words from a column that may be dates.
LIKE = (
    r"(?i)^(\d{4}[-/.]\d{1,2}|\d{8}T|\d{1,2}:\d{2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2}|"
    rf".{{0,14}}({'|'.join(MONTHS)}))"
)
FIRST_YEAR, LAST_YEAR = 1000, 2261
# microseconds since 1970 of the first instant in range, and of the first after it
FIRST, END = -30_610_224_000_000_000, 9_214_646_400_000_000

Numbers = np.ndarray[Any, np.dtype[np.int64]]
Marks = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True)
class Instants:
    """Microseconds since 1970 (UTC where ``zoned``), and for each text whether it is ``shaped`` so and ``valid``."""

    microseconds: Numbers
    shaped: Marks
    valid: Marks
    zoned: Marks

    def otherwise(self, other: Instants) -> Instants:
        """The other reading where this one has no shape."""
        pairs = ((getattr(self, field.name), getattr(other, field.name)) for field in fields(self))
        return Instants(*(np.where(self.shaped, mine, its) for mine, its in pairs))


def readings(text: pa.Array) -> dict[str, Instants]:
    """The shapes that every text has, with what each makes of them."""
    import pyarrow.compute as pc

    if not len(text) or not pc.all(pc.match_substring_regex(text, LIKE)).as_py():
        return {}

    def fits(pattern: str, some: pa.Array) -> bool:
        return bool(pc.all(pc.match_substring_regex(some, pattern)).as_py())

    fitting = [
        shape
        for shape, pattern in SHAPES.items()
        if fits(pattern, text.slice(0, 100)) and fits(pattern, text)
    ]
    return {shape: read(text, shape) for shape in fitting}


def read(text: pa.Array, shape: str) -> Instants:
    """The instants of the texts in one shape."""
    return _read_shape(text, SHAPES[shape]) if shape in SHAPES else _read_format(text, shape)


def _read_shape(text: pa.Array, pattern: str) -> Instants:
    import pyarrow.compute as pc

    parts = _Parts(pc.extract_regex(text, pattern))
    days, real = _days(_years(parts), _months(parts), parts.number("d", 1))
    seconds, clock = _seconds(parts)
    offset, zoned = _offset(parts)
    microseconds = (days * 86_400 + seconds - offset) * 1_000_000 + _fraction(parts)
    return Instants(microseconds, parts.shaped, parts.shaped & real & clock, zoned)


class _Parts:
    """The named groups of a pattern as arrays of numbers or words; an absent group is its ``empty`` value."""

    def __init__(self, struct: pa.StructArray) -> None:
        self.struct = struct
        self.names = {field.name for field in struct.type}
        self.shaped = np.asarray(struct.is_valid())

    def words(self, name: str) -> pa.Array:
        import pyarrow as pa
        import pyarrow.compute as pc

        if name not in self.names:
            return pa.repeat("", len(self.struct))
        return pc.fill_null(pc.struct_field(self.struct, name), "")

    def number(self, name: str, empty: int = 0) -> Numbers:
        import pyarrow.compute as pc

        if name not in self.names:
            return np.full(len(self.struct), empty, dtype=np.int64)
        part = self.words(name)
        return np.asarray(pc.if_else(pc.equal(part, ""), str(empty), part).cast("int64"))


def _years(parts: _Parts) -> Numbers:
    """Two digits mean 1969 to 2068; "0000" is the year 0."""
    import pyarrow.compute as pc

    years = parts.number("y", 1970)
    short = np.asarray(pc.equal(pc.utf8_length(parts.words("y")), 2))
    return np.where(short, np.where(years < 69, years + 2000, years + 1900), years)


def _months(parts: _Parts) -> Numbers:
    if "b" not in parts.names:
        return parts.number("m", 1)
    import pyarrow as pa
    import pyarrow.compute as pc

    found = pc.index_in(pc.utf8_lower(parts.words("b")), pa.array(MONTHS, parts.words("b").type))
    return np.asarray(pc.fill_null(found, -1)).astype(np.int64) + 1


def _days(years: Numbers, months: Numbers, days: Numbers) -> tuple[Numbers, Marks]:
    """Days since 1970, and which of them the calendar has (years in range)."""
    real = (years >= FIRST_YEAR) & (years <= LAST_YEAR) & (months >= 1) & (months <= 12) & (days >= 1)
    first = (np.where(real, years, 1970) - 1970) * 12 + np.where(real, months, 1) - 1
    month = first.astype("datetime64[M]")
    day = month.astype("datetime64[D]") + (np.where(real, days, 1) - 1)
    return day.astype(np.int64), real & (day.astype("datetime64[M]") == month)


def _seconds(parts: _Parts) -> tuple[Numbers, Marks]:
    import pyarrow.compute as pc

    hours, minutes, seconds = parts.number("H"), parts.number("M"), parts.number("S")
    half = pc.utf8_lower(parts.words("p"))
    halves, afternoon = np.asarray(pc.not_equal(half, "")), np.asarray(pc.equal(half, "p"))
    real = (minutes < 60) & (seconds < 60) & np.where(halves, (hours >= 1) & (hours <= 12), hours < 24)
    hours = np.where(halves, hours % 12 + 12 * afternoon, hours)
    return hours * 3600 + minutes * 60 + seconds, real


def _fraction(parts: _Parts) -> Numbers:
    """Microseconds of the digits after the seconds, rounded down."""
    import pyarrow.compute as pc

    if "f" not in parts.names:
        return np.zeros(len(parts.struct), dtype=np.int64)
    return np.asarray(pc.utf8_slice_codeunits(pc.utf8_rpad(parts.words("f"), 6, "0"), 0, 6).cast("int64"))


def _offset(parts: _Parts) -> tuple[Numbers, Marks]:
    """Seconds east of UTC, and where a zone is named."""
    import pyarrow.compute as pc

    zones = parts.words("z").dictionary_encode()
    seconds = np.array([_offset_of(zone) for zone in zones.dictionary.to_pylist()], dtype=np.int64)
    return seconds[np.asarray(zones.indices)], np.asarray(pc.not_equal(parts.words("z"), ""))


def _offset_of(zone: str) -> int:
    if zone in ("", "Z", "UTC", "GMT"):
        return 0
    digits = zone[1:].replace(":", "").ljust(4, "0")
    return (int(digits[:2]) * 60 + int(digits[2:])) * (-60 if zone[0] == "-" else 60)


def _read_format(text: pa.Array, spelling: str) -> Instants:
    """By pandas' strptime; what does not parse is not shaped. Raises ExperimentError E072 for what is no format."""
    import pandas as pd

    zoned = "%z" in spelling or "%Z" in spelling
    texts = pd.Series(text.to_pylist(), dtype=object)
    try:
        found = pd.to_datetime(texts, format=spelling, errors="coerce", utc=zoned)
    except ValueError as error:
        what = f"data.date_format must be a strptime format: {error}"
        raise ExperimentError("E072", what, value=spelling, mend="such as '%d/%m/%Y %H:%M'") from None
    shaped = found.notna().to_numpy()
    times = found.dt.tz_localize(None) if zoned else found
    microseconds = times.to_numpy().astype("datetime64[us]").astype(np.int64)
    years = times.dt.year.fillna(0).to_numpy()
    valid = shaped & (years >= FIRST_YEAR) & (years <= LAST_YEAR)
    return Instants(microseconds, shaped, valid, np.full(len(text), zoned))


def out_of_range(instants: pa.ChunkedArray) -> pa.ChunkedArray:
    """Which of native instants lie before ``FIRST_YEAR`` or after ``LAST_YEAR``; null where null."""
    import pyarrow.compute as pc

    microseconds = instants.cast("int64")
    return pc.or_(pc.less(microseconds, FIRST), pc.greater_equal(microseconds, END))
