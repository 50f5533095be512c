"""Characters that are not what they look like: invisible ones, padding, accents in two spellings, foreign digits."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

BLANKS = " \t\n\v\f\r\x1c\x1d\x1e\x1f"
# zero width space, word joiner, byte order mark, soft hyphen: never seen, never meant. The joiners U+200C and
# U+200D stay: Persian and emoji need them.
INVISIBLE = "[\u200b\u2060\ufeff\u00ad]"
LONGEST_NUMBER = 64

_FULL_WIDTH = {0xFEE0 + code: chr(code) for code in range(0x21, 0x7F)}
_MINUS = dict.fromkeys((*range(0x2010, 0x2016), 0x2212, 0xFE63, 0xFF0D), "-")
_SPACES = dict.fromkeys((0xA0, *range(0x2000, 0x200B), 0x202F, 0x3000), " ")
WESTERN = _FULL_WIDTH | _MINUS | _SPACES


def tidy(text: pa.Array) -> pa.Array:
    """Without blanks at the ends (the no-break space is one) and invisible characters; accents composed (NFC)."""
    import pyarrow.compute as pc

    if _ascii(text):
        trimmed = pc.ascii_trim(text, BLANKS)
        return text if trimmed.equals(text) else trimmed
    visible = pc.replace_substring_regex(text, INVISIBLE, "")
    trimmed = pc.ascii_trim(pc.utf8_trim_whitespace(visible), BLANKS)
    # Arrow's own utf8_normalize decomposes where NFC composes (measured with 25.0)
    return _replaced(trimmed, pc.invert(pc.string_is_ascii(trimmed)), _composed)


def western(text: pa.Array) -> pa.Array:
    """Full-width forms, typographic minus signs and blanks as ASCII, in texts that are short enough for a number."""
    import pyarrow.compute as pc

    if _ascii(text):
        return text
    short = pc.less_equal(pc.utf8_length(text), LONGEST_NUMBER)
    return _replaced(text, pc.and_(short, pc.invert(pc.string_is_ascii(text))), _westernised)


def _ascii(text: pa.Array) -> bool:
    import pyarrow.compute as pc

    return pc.all(pc.string_is_ascii(text)).as_py() is not False


def _composed(text: str) -> str:
    return text if unicodedata.is_normalized("NFC", text) else unicodedata.normalize("NFC", text)


def _westernised(text: str) -> str:
    return text.translate(WESTERN).strip()


def _replaced(text: pa.Array, marks: pa.Array, change: Callable[[str], str]) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    before = text.filter(marks).to_pylist()
    after = [change(value) for value in before]
    return pc.replace_with_mask(text, marks, pa.array(after, text.type)) if after != before else text
