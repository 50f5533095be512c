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

    ends: the index behind each record's line end; fields: the number of its fields; lines: how many lines end in
    all of them; fault: the index of the quote that opens the field where the grammar breaks (records behind it are
    not counted), or -1; open_quote: the index of a quote that is still open when the block ends, or -1.
    """

    ends: np.ndarray
    fields: np.ndarray
    lines: int
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
        inside, wrong = _quoted(data, separators, ord(quote))
        separators &= ~inside
        if wrong >= 0:
            fault = _field_start(
                block, quote.encode(), wrong if inside[wrong] else block.rfind(quote.encode(), 0, wrong)
            )
            separators[fault:] = False
        elif inside[-1]:
            open_quote = _field_start(block, quote.encode(), block.rfind(quote.encode()))
    at = np.flatnonzero(separators)
    closing = np.flatnonzero(line_ends[at])
    ends = at[closing] + 1
    fields = np.diff(closing, prepend=-1)
    if final and fault < 0 and open_quote < 0 and len(data) > (ends[-1] if len(ends) else 0):
        ends = np.append(ends, len(data))
        fields = np.append(fields, len(at) - (closing[-1] + 1 if len(closing) else 0) + 1)
    lines = int(np.count_nonzero(line_ends[: ends[-1]])) if len(ends) else 0
    return Scan(ends, fields, lines, fault, open_quote)


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


def _quoted(data: np.ndarray, separators: np.ndarray, quote: int) -> tuple[np.ndarray, int]:
    """Which bytes stand inside quotes (an opening quote does, a closing one does not), and the first wrong quote."""
    import numpy as np

    quotes = data == quote
    inside = np.bitwise_xor.accumulate(quotes.view(np.uint8)).view(bool)
    free = ~(separators | quotes | (data == CR))  # neighbours that a quote must not have on its outer side
    wrong = quotes[1:] & inside[1:] & free[:-1]
    wrong_openings = int(wrong.argmax()) + 1 if wrong.any() else len(data)
    wrong = quotes[:-1] & ~inside[:-1] & free[1:]
    wrong_closings = int(wrong.argmax()) if wrong.any() else len(data)
    first = min(wrong_openings, wrong_closings)
    return inside, (first if first < len(data) else -1)


def _field_start(block: bytes, quote: bytes, opening: int) -> int:
    """The quote that opened the field in which the quote at ``opening`` is the second of a doubled pair, or itself."""
    while opening and block[opening - 1 : opening] == quote:
        opening = block.rfind(quote, 0, opening - 1)
    return opening
