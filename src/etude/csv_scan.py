"""Where the records of a delimited text end, found by counting bytes.

The grammar is the strict one (RFC 4180): a quoted field starts right after a delimiter or a line end, ends right
before one, and holds its quote character doubled. Nothing else may hold a quote character. A line ends with LF,
CRLF or CR. A text that keeps to it has one reading only; the first place that does not is the fault.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

LF, CR = 10, 13


@dataclass(frozen=True)
class Scan:
    """The whole records of a block that starts with a record.

    ends: the index behind each record's line end; fields: the number of its fields;
    fault: the index of the quote where the grammar breaks (records behind it are not counted), or -1;
    open_quote: the index of a quote that is still open when the block ends, or -1.
    """

    ends: np.ndarray
    fields: np.ndarray
    fault: int
    open_quote: int

    @property
    def length(self) -> int:
        """Bytes of the block that the whole records take."""
        return int(self.ends[-1]) if len(self.ends) else 0


def scan(block: bytes, delimiter: str, quote: str, *, final: bool) -> Scan:
    """The records of ``block``; ``final`` says that the text ends here, so that the last line needs no end."""
    import numpy as np

    data = np.frombuffer(block, np.uint8)
    line_ends = line_end_mask(data, final=final)
    separators = data == ord(delimiter)
    separators |= line_ends
    fault = open_quote = -1
    if quote and quote.encode() in block:
        at, fault, open_quote = _outside_quotes(data, separators, ord(quote))
    else:
        at = np.flatnonzero(separators)
    closing = np.flatnonzero(line_ends[at])
    ends = at[closing] + 1
    fields = np.diff(closing, prepend=-1)
    if final and fault < 0 and open_quote < 0 and len(data) > (ends[-1] if len(ends) else 0):
        ends = np.append(ends, len(data))
        fields = np.append(fields, len(at) - (closing[-1] + 1 if len(closing) else 0) + 1)
    return Scan(ends, fields, fault, open_quote)


def line_end_mask(data: np.ndarray, *, final: bool) -> np.ndarray:
    """True at each LF and at each CR that no LF follows (a CR at the edge of a block waits for what follows)."""
    import numpy as np

    ends: np.ndarray = data == LF
    returns = np.flatnonzero(data == CR)
    if len(returns):
        alone = returns[data[np.minimum(returns + 1, len(data) - 1)] != LF]
        if not final and len(alone) and alone[-1] == len(data) - 1:
            alone = alone[:-1]
        ends[alone] = True
    return ends


def _outside_quotes(data: np.ndarray, separators: np.ndarray, quote: int) -> tuple[np.ndarray, int, int]:
    """Places of the separators outside quotes before the first fault, the fault, the quote left open."""
    import numpy as np

    is_quote = data == quote
    at = np.flatnonzero(separators | is_quote)
    quotes_here = is_quote[at]
    inside = np.logical_xor.accumulate(quotes_here)
    quotes, opens = at[quotes_here], inside[quotes_here]
    touches = separators | is_quote | (data == CR)
    before = touches[np.maximum(quotes - 1, 0)] | (quotes == 0)
    behind = touches[np.minimum(quotes + 1, len(data) - 1)] | (quotes == len(data) - 1)
    wrong = np.flatnonzero(~np.where(opens, before, behind))
    fault = open_quote = -1
    if len(wrong):
        fault = _field_start(quotes, opens, int(wrong[0]))
    elif len(opens) and opens[-1]:
        open_quote = _field_start(quotes, opens, len(opens) - 1)
    outside = at[~quotes_here & ~inside]
    return (outside if fault < 0 else outside[outside < fault]), fault, open_quote


def _field_start(quotes: np.ndarray, opens: np.ndarray, index: int) -> int:
    """The quote that opened the field to which ``quotes[index]`` belongs, behind all doubled quotes."""
    first = index if opens[index] else index - 1
    while first >= 2 and quotes[first] - 1 == quotes[first - 1]:
        first -= 2
    return int(quotes[first])
