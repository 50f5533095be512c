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
MARK = r"[0-9][,.' ][0-9]"
CURRENCY = r"[$€£¥₹₽₩₺]|(?:US|A|C|HK|NZ)\$|USD|EUR|GBP|CHF|Rs\.?"
UNIT = r"\s*(?:%|‰|°[CF]?|[$€£¥₹₽₩₺]|[A-Za-zµ]{1,5}[23²³]?(?:/[A-Za-z]{1,5})?)"
# letters that touch whole numbers alone ("12A") are codes
CODE = r"^[0-9]+[A-Za-z]"
WITH_UNIT = rf"^[+-]?(?P<before>(?:{CURRENCY})\s*)?[+-]?[0-9][0-9,]*(?:\.[0-9]+)?(?P<after>{UNIT})?$"

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


# Tried in this order on numbers whose marks nobody declared.
MARKED = (
    Style(thousands=","),
    Style(decimal=","),
    Style(thousands=".", decimal=","),
    Style(thousands="'"),
    Style(thousands=" "),
    Style(thousands=" ", decimal=","),
)


def read(text: pa.Array, style: Style) -> pa.Array:
    """float64 for each text; null for what is no number in this style. Never NaN, never -0.0."""
    import pyarrow as pa
    import pyarrow.compute as pc

    text = text if style.usual else _usual(text, style)
    try:
        # Arrow reads to the end before it complains, so a few are tried first
        for some in (text.slice(0, 100), text):
            numbers = pc.cast(some, pa.float64())
        if not pc.any(pc.is_nan(numbers)).as_py():
            return pc.add(numbers, 0.0)
    except pa.ArrowInvalid:
        pass
    numbers = pc.if_else(pc.match_substring_regex(text, NUMBER), text, pa.scalar(None, text.type))
    return pc.cast(numbers, pa.float64())


def read_whole(text: pa.Array, style: Style) -> pa.Array:
    """int64 for each text, every digit kept ("7.0" is 7). Raises ArrowInvalid for all else."""
    import pyarrow as pa
    import pyarrow.compute as pc

    text = text if style.usual else _usual(text, style)
    return pc.cast(pc.replace_substring_regex(text, r"^\+|\.0*$", ""), pa.int64())


def bare(text: pa.Array, style: Style) -> pa.Array:
    """The texts without the unit of the style; null for those that do not have it."""
    import pyarrow as pa
    import pyarrow.compute as pc

    pattern = rf"^([+-]?){re.escape(style.before)}\s*(.*?)\s*{re.escape(style.after)}$"
    if not style.before and not style.after:
        return text
    has = pc.match_substring_regex(text, pattern)
    return pc.if_else(has, pc.replace_substring_regex(text, pattern, r"\1\2"), pa.scalar(None, text.type))


def _usual(text: pa.Array, style: Style) -> pa.Array:
    """The texts with a decimal point and nothing else around the digits; null where the style is broken."""
    import pyarrow as pa
    import pyarrow.compute as pc

    nothing = pa.scalar(None, text.type)
    text = bare(text, style)
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


@dataclass(frozen=True)
class Undeclared:
    """Marks that nobody declared: the code, the lines that declare them (``declare`` as keys, empty where two ways of
    reading fit), the texts that have them, and the texts that are no numbers even so."""

    code: str
    hint: str
    declare: dict[str, str]
    marks: Marks
    others: Marks


def undeclared(text: pa.Array, weights: Counts, share: float, declared: Style = Style()) -> Undeclared | None:
    """What to declare when ``share`` of the rows are numbers if their marks are allowed; None when they are not, or
    when the declared style reads them already.

    E049: groups of three digits; E050: a decimal comma. A blank must explain every text: "123 456" may be a code.
    """
    import pyarrow.compute as pc

    if not pc.any(pc.match_substring_regex(text, MARK)).as_py():
        return None
    plain = np.asarray(read(text, Style()).is_valid())

    def explains(style: Style) -> bool:
        fits = np.asarray(read(text, style).is_valid())
        enough = (1.0 if style.thousands == " " else share) * weights.sum()
        return bool(weights[fits | plain].sum() >= enough and (fits & ~plain).any())

    if not declared.usual and explains(declared):
        return None
    styles = [style for style in MARKED if explains(style)]
    if not styles:
        return None
    style, numbers = styles[0], read(text, styles[0])
    fits = np.asarray(numbers.is_valid())
    comma = style.decimal == "," and pc.any(pc.match_substring(text, ",")).as_py()
    rivals = [_keys(other) for other in styles[1:] if not read(text, other).equals(numbers)]
    ways = [_keys(style), *rivals[:1]]
    hint = " or ".join(" and ".join(f"data.{key}: {mark!r}" for key, mark in way.items()) for way in ways)
    declare = {} if rivals else ways[0]
    return Undeclared("E050" if comma else "E049", hint, declare, fits & ~plain, ~(fits | plain))


def _keys(style: Style) -> dict[str, str]:
    """What declares the style, under the keys of ``data``."""
    keys = {"thousands": style.thousands} if style.thousands else {}
    return keys | ({"decimal": ","} if style.decimal == "," else {})


def units(text: pa.Array, weights: Counts, share: float) -> set[tuple[str, str]]:
    """What stands before and after the numbers ("$", "" or "", "kg"); empty unless ``share`` of the rows have some."""
    import pyarrow as pa
    import pyarrow.compute as pc

    parts = pc.extract_regex(text, WITH_UNIT)
    around = [pc.utf8_trim_whitespace(pc.struct_field(parts, name)) for name in ("before", "after")]
    joined = pc.binary_join_element_wise(*around, "\n")
    has = np.asarray(pc.fill_null(pc.not_equal(joined, "\n"), False))
    codes = np.asarray(pc.match_substring_regex(text, CODE))
    if not (has & ~codes).any() or weights[has].sum() < share * weights.sum():
        return set()
    return {tuple(pair.split("\n")) for pair in pc.unique(joined.filter(pa.array(has))).to_pylist()}
