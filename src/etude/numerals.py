"""Numbers in text: which texts are numbers, which only look like it, and their exact values.

A number is ASCII digits with at most one decimal mark, a sign and an exponent, or a word for infinity. Full-width
digits and typographic minus signs are read as what they mean. Values are correctly rounded, as by Python's float().
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

NUMBER = r"(?i)^[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?|inf(?:inity)?)$"
WHOLE = r"^[+-]?[0-9]+$"
WHOLE_WITH_POINT = r"^[+-]?[0-9]+\.0*$"
LEADING_ZERO = r"^0[0-9]"
LOOKS_SCIENTIFIC = r"^[0-9]+[eE][0-9]+$"
POINT = r"\.|[eE][+-]"
MINUS_SIGNS = "[\u2010-\u2015\u2212\ufe63\uff0d]"
CURRENCY = r"(?:[$€£¥₹₽₩₺]|US\$|USD|EUR|GBP|CHF|Rs\.?)"
UNIT = r"(?:%|‰|°[CF]?|[$€£¥₹₽₩₺]|[A-Za-zµ]{1,4}[23²³]?(?:/[A-Za-z]{1,4})?)"
WITH_UNIT = rf"^(?P<before>{CURRENCY}\s*)?[+-]?[0-9][0-9,]*(?:\.[0-9]+)?(?P<after>\s*{UNIT})?$"

Counts = np.ndarray[Any, np.dtype[np.int64]]
Marks = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True)
class Style:
    """How numbers are written: the marks, and what stands before and after each number."""

    thousands: str | None = None
    decimal: str = "."
    before: str = ""
    after: str = ""

    @property
    def usual(self) -> bool:
        return self == Style()


def western(text: pa.Array) -> pa.Array:
    """Compatibility forms (full-width digits) and typographic minus signs as ASCII, blanks trimmed."""
    import pyarrow.compute as pc

    if pc.all(pc.string_is_ascii(text)).as_py() is not False:
        return text
    folded = pc.replace_substring_regex(pc.utf8_normalize(text, "NFKC"), MINUS_SIGNS, "-")
    return pc.utf8_trim_whitespace(folded)


def read(text: pa.Array, style: Style) -> pa.Array:
    """float64 for each text of ``western``; null for what is no number in this style."""
    import pyarrow as pa
    import pyarrow.compute as pc

    text = text if style.usual else _usual(text, style)
    try:
        numbers = pc.cast(text, pa.float64())
        if not pc.any(pc.is_nan(numbers)).as_py():
            return pc.add(numbers, 0.0)
    except pa.ArrowInvalid:
        pass
    numbers = pc.if_else(pc.match_substring_regex(text, NUMBER), text, pa.scalar(None, text.type))
    return pc.add(pc.cast(numbers, pa.float64()), 0.0)


def read_whole(text: pa.Array, style: Style) -> pa.Array:
    """int64 for each text of ``western``, every digit kept ("7.0" is 7). Raises ArrowInvalid beyond 64 bits."""
    import pyarrow as pa
    import pyarrow.compute as pc

    text = text if style.usual else _usual(text, style)
    digits = pc.replace_substring_regex(text, r"^\+|\.0*$", "")
    return pc.cast(digits, pa.int64())


def _usual(text: pa.Array, style: Style) -> pa.Array:
    """The texts with a decimal point and nothing else around the digits; null where the style is broken."""
    import pyarrow as pa
    import pyarrow.compute as pc

    nothing = pa.scalar(None, text.type)
    for mark, end in ((style.before, "^"), (style.after, "$")):
        if mark:
            pattern = rf"\s*{re.escape(mark)}\s*" if end == "$" else rf"{re.escape(mark)}\s*"
            pattern = pattern + end if end == "$" else end + pattern
            marked = pc.match_substring_regex(text, pattern)
            text = pc.if_else(marked, pc.replace_substring_regex(text, pattern, ""), nothing)
    if style.thousands:
        mark, decimal = re.escape(style.thousands), re.escape(style.decimal)
        grouped = rf"^[+-]?[0-9]{{1,3}}(?:{mark}[0-9]{{3}})+(?:{decimal}[0-9]*)?$"
        without = pc.replace_substring(text, style.thousands, "")
        text = pc.if_else(pc.match_substring_regex(text, grouped), without, text)
        text = pc.if_else(pc.match_substring(text, style.thousands), nothing, text)
    if style.decimal != ".":
        text = pc.if_else(pc.match_substring(text, "."), nothing, text)
        text = pc.replace_substring(text, style.decimal, ".")
    return text


def grouping(text: pa.Array, weights: Counts, share: float) -> tuple[str, str, Marks] | None:
    """``(code, hint, marked texts)`` when ``share`` of the rows are numbers if undeclared marks are allowed, else None.

    E049: groups of three digits; E050: a decimal comma. Blanks must explain every text ("123 456" may be a code).
    """
    import pyarrow.compute as pc

    marked = np.asarray(pc.match_substring_regex(text, r"[0-9][,.' ][0-9]"))
    plain = np.asarray(read(text, Style()).is_valid())
    if not (marked & ~plain).any():
        return None
    for code, style in _MARKED:
        fits = np.asarray(read(text, style).is_valid()) | plain
        enough = (1.0 if style.thousands == " " else share) * weights.sum()
        if weights[fits].sum() >= enough and (fits & ~plain).any():
            thousands = f"data.thousands: {style.thousands!r}" if style.thousands else ""
            decimal = "data.decimal: ','" if style.decimal == "," else ""
            return code, " and ".join(hint for hint in (thousands, decimal) if hint), fits & ~plain
    return None


_MARKED = (
    ("E049", Style(thousands=",")),
    ("E050", Style(decimal=",")),
    ("E050", Style(thousands=".", decimal=",")),
    ("E049", Style(thousands="'")),
    ("E049", Style(thousands=" ")),
    ("E050", Style(thousands=" ", decimal=",")),
)


def unit(text: pa.Array) -> tuple[str, str] | None:
    """What stands before and after every one of the numbers ("$", "" or "", "kg"); None when there is no such thing."""
    import pyarrow.compute as pc

    parts = pc.extract_regex(text, WITH_UNIT)
    if parts.null_count:
        return None
    around = (pc.unique(pc.struct_field(parts, name)).to_pylist() for name in ("before", "after"))
    before, after = ({part.strip() for part in found} for found in around)
    if len(before) > 1 or len(after) > 1 or before == after == {""}:
        return None
    return before.pop(), after.pop()
