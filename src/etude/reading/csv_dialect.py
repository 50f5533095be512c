"""Which characters delimit and quote a text table: declared, or found because only one reading fits."""

from __future__ import annotations

from dataclasses import dataclass
from math import log1p
from pathlib import PurePath
from typing import TYPE_CHECKING

from etude.errors import DataError, ExperimentError
from etude.reading.csv_scan import Scan, scan

if TYPE_CHECKING:
    import numpy as np

DELIMITERS = (",", ";", "\t", "|")
UNUSUAL_DELIMITERS = (" ", ":", "^", "~", "\x01", "\x1f", "\x1e", "#", "&", "=", "/")
NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "|", " ": "space"}
SAMPLE_BYTES = 1 << 18
RIVAL_AGREEMENT = 0.5


@dataclass(frozen=True)
class Dialect:
    """quote is empty where quote characters are plain text."""

    delimiter: str
    quote: str
    declared: tuple[str, ...] = ()


@dataclass(frozen=True)
class Fit:
    """How evenly a delimiter cuts the sample: ``fields`` is the most frequent count of fields."""

    delimiter: str
    fields: int
    agreement: float
    header_fields: int
    grammatical: bool

    @property
    def even(self) -> bool:
        return self.grammatical and self.fields >= 2 and self.agreement == 1

    @property
    def rival(self) -> bool:
        return self.header_fields >= 2 and self.agreement >= RIVAL_AGREEMENT


def find_dialect(
    head: bytes, delimiter: str | None, quote: str | None, where: str, *, whole: bool
) -> Dialect:
    """The dialect of the text that starts with ``head`` (all of it when ``whole``).

    A delimiter that is not declared must be the only one of , ; tab | that cuts the sample into two or more
    fields: E025 otherwise. Where none cuts it evenly the likeliest is returned, and the strict reader names the line.
    """
    checked_character("data.delimiter", delimiter)
    checked_character("data.quote", quote)
    quote_used = '"' if quote is None else quote
    declared = tuple(n for n, v in (("delimiter", delimiter), ("quote", quote)) if v is not None)
    if delimiter is not None:
        chosen = unescaped(delimiter)
        if chosen == quote_used:
            raise ExperimentError(
                "E025",
                "data.delimiter and data.quote must differ",
                where="data.delimiter",
                value=delimiter,
                mend="change one",
            )
        _refuse_other_delimiter(head, chosen, quote_used, where, whole=whole)
        return Dialect(chosen, quote_used, declared)
    fits = [fit_of(head, d, quote_used, whole=whole) for d in DELIMITERS if d != quote_used]
    return Dialect(_only_one(fits, head, quote_used, where, whole=whole), quote_used, declared)


def checked_character(key: str, value: str | None) -> None:
    """E025 or E035 unless the value can separate or quote fields."""
    if value is None or (key == "data.quote" and value == ""):
        return
    character = unescaped(value)
    if len(character) != 1 or not character.isascii() or character.isalnum() or character in "\r\n\0.-+_":
        code = "E035" if key == "data.quote" else "E025"
        mend = (
            "choose one of , ; | ' ' or '\\t'"
            if key == "data.delimiter"
            else "choose one of '\"' \"'\" or ''"
        )
        raise ExperimentError(
            code,
            f"{key} must be one ASCII character that is no letter or digit",
            where=key,
            value=value,
            mend=mend,
        )


def unescaped(delimiter: str) -> str:
    """A tab may be written \\t in YAML without quotes, which keeps the backslash."""
    return "\t" if delimiter == "\\t" else delimiter


def fit_of(head: bytes, delimiter: str, quote: str, *, whole: bool) -> Fit:
    import numpy as np

    sample = head[:SAMPLE_BYTES]
    scanned = scan(sample, delimiter, quote, final=whole and len(sample) == len(head))
    if len(scanned.ends) < 2 and len(head) > len(sample):
        sample = head
        scanned = scan(sample, delimiter, quote, final=whole)
    fields = scanned.fields[~blank_records(sample, scanned)]
    if not len(fields):
        return Fit(delimiter, 0, 0.0, 0, scanned.fault < 0)
    counts, frequency = np.unique(fields, return_counts=True)
    # The wider of two equally frequent counts: a preamble is narrower than its table.
    best = len(counts) - 1 - int(np.argmax(frequency[::-1]))
    agreement = float(frequency[best]) / len(fields)
    return Fit(delimiter, int(counts[best]), agreement, int(fields[0]), scanned.fault < 0)


def blank_records(block: bytes, scanned: Scan, spaces: bytes = b" ") -> np.ndarray:
    """True for records that are an empty line, or one field of ``spaces``."""
    import numpy as np

    blank = np.zeros(len(scanned.ends), bool)
    if not len(blank):
        return blank
    starts = np.concatenate(([0], scanned.ends[:-1]))
    first_bytes = np.frombuffer(block, np.uint8)[starts]
    for index in np.flatnonzero((scanned.fields == 1) & (first_bytes <= ord(" "))):
        blank[index] = not block[starts[index] : scanned.ends[index]].strip(b"\r\n" + spaces)
    return blank


def _only_one(fits: list[Fit], head: bytes, quote: str, where: str, *, whole: bool) -> str:
    even = [f for f in fits if f.even]
    rivals = [f for f in fits if f.rival or f.even]
    named = _delimiter_of_name(where)
    if named and any(f.delimiter == named for f in even):
        return named
    if even and len(rivals) > 1:
        listed = ", ".join(f"{NAMES[f.delimiter]} ({f.fields} fields)" for f in rivals)
        mend = "set data.delimiter to the right one"
        raise DataError(
            "E025", "one delimiter must fit the text", where=f"{where}:1", value=listed, mend=mend
        )
    if even:
        return even[0].delimiter
    likeliest = max(fits, key=lambda f: _steadiness(head, f.delimiter))
    if likeliest.fields < 2 and all(f.grammatical for f in fits):
        _refuse_unusual_delimiter(head, quote, where, whole=whole)
    return likeliest.delimiter


def _steadiness(head: bytes, delimiter: str) -> float:
    """How many lines have the most frequent number of these delimiters, quotes aside, and how large that number is."""
    from collections import Counter

    lines = head[:SAMPLE_BYTES].replace(b"\r", b"\n").split(b"\n")
    counts = Counter(line.count(delimiter.encode()) for line in lines if line)
    number, lines_alike = max(counts.items(), key=lambda item: (item[0] > 0, item[1]))
    return lines_alike / counts.total() * log1p(number)


def _delimiter_of_name(where: str) -> str | None:
    name = PurePath(where).name.lower()
    return "\t" if any(part in (".tsv", ".tab") for part in PurePath(name).suffixes) else None


def _refuse_unusual_delimiter(head: bytes, quote: str, where: str, *, whole: bool) -> None:
    """A single column is believed only when nothing else cuts all lines alike."""
    even = [d for d in UNUSUAL_DELIMITERS if fit_of(head, d, quote, whole=whole).even]
    lines = head[:SAMPLE_BYTES].splitlines()
    aligned = {len(line.split()) for line in (lines if whole else lines[:-1]) if line.strip()}
    if not even and (len(aligned) != 1 or aligned == {1}):
        return
    mend = f"set data.delimiter: {even[0]!r}" if even else "its columns are aligned by spaces: save it as CSV"
    raise DataError(
        "E025",
        "the fields of a line must be delimited by one of , ; tab |",
        where=f"{where}:1",
        value=lines[0].decode(errors="replace"),
        mend=mend,
        declare={"delimiter": even[0]} if len(even) == 1 else None,
    )


def _refuse_other_delimiter(head: bytes, chosen: str, quote: str, where: str, *, whole: bool) -> None:
    if fit_of(head, chosen, quote, whole=whole).even:
        return
    for other in DELIMITERS:
        if other != chosen and other != quote and fit_of(head, other, quote, whole=whole).even:
            raise DataError(
                "E025",
                "data.delimiter must be the one that the text uses",
                where=f"{where}:1",
                value=chosen,
                mend=f"set data.delimiter: {other!r}, or remove the line",
            )
