"""Why a text is no table, said with the line that is wrong and how to mend it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from etude.errors import DataError
from etude.reading.cell_kinds import looks
from etude.reading.csv_dialect import DELIMITERS, NAMES, Dialect, blank_records
from etude.reading.text_encoding import line_ends

if TYPE_CHECKING:
    from etude.reading.csv_strict import Block


MAX_PREAMBLE = 50
JUDGED_RECORDS = 10_000


def first_line(text: bytes) -> str:
    return text[:400].decode(errors="replace").strip("\r\n").splitlines()[0] if text.strip(b"\r\n") else ""


def refuse_nul(text: bytes, line: int, where: str) -> NoReturn:
    at = text.index(b"\0")
    raise DataError(
        "E023",
        "a text table must not hold NUL bytes",
        where=f"{where}:{line + line_ends(text[:at])}",
        value=text[max(0, at - 10) : at + 10].decode(errors="replace"),
        mend="it was damaged or is no text: export it again",
    )


def refuse_blank_start(block: Block, where: str) -> NoReturn:
    """E026 for empty lines above the header."""
    blank = blank_records(block.text, block.scan)
    texts = [i for i in range(len(blank)) if not blank[i]]
    likely = f"; the header is likely on line {block.line_of(texts[0])}" if texts else ""
    what, mend = "the first line must be the header", "remove it" + likely
    raise DataError("E026", what, where=f"{where}:1", value="an empty line", mend=mend)


def check_header_width(block: Block, dialect: Dialect, where: str) -> None:
    """E026 where narrower lines stand above the table, E030, E031 or E032 where only the header has another width."""
    blank = blank_records(block.text, block.scan)
    rows = [i for i in range(min(len(blank), JUDGED_RECORDS)) if not blank[i]]
    fields = [int(block.scan.fields[i]) for i in rows]
    steady = len(fields) - 1
    while steady > 0 and fields[steady - 1] == fields[-1]:
        steady -= 1
    if steady <= 0:
        return
    one_row = len(fields) == 2 and fields[0] > 1 and not _ends_empty(block.record(rows[1]), dialect)
    if steady == 1 and not one_row:
        _refuse_header_width(block, rows, fields, where, dialect)
    narrower = all(width < fields[-1] for width in fields[:steady])
    enough = 2 if set(fields[:steady]) == {1} else max(2, steady)
    if narrower and steady <= MAX_PREAMBLE and len(fields) - steady >= enough:
        _refuse_preamble(block, rows[steady], where)


def _refuse_preamble(block: Block, header: int, where: str) -> NoReturn:
    raise DataError(
        "E026",
        "the first line must be the header",
        where=f"{where}:{block.line}",
        value=first_line(block.record(0)),
        mend=f"remove the lines above the header, which is likely on line {block.line_of(header)}",
    )


def _refuse_header_width(
    block: Block, rows: list[int], fields: list[int], where: str, dialect: Dialect
) -> None:
    """The header has one width, all rows have another."""
    names, width = fields[0], fields[-1]
    if names == 1 and width >= 2 and len(fields) >= 3:
        _refuse_preamble(block, rows[1], where)
    value = f"{names} names, {width} fields in each row from line {block.line_of(rows[1])}"
    if width == names + 1:
        trailing = all(_ends_empty(block.record(r), dialect) for r in rows[1:])
        mend = (
            "remove the delimiter at the end of each row" if trailing else "name the first or the last column"
        )
        raise DataError(
            "E031", "rows must have as many fields as the header", where=f"{where}:1", value=value, mend=mend
        )
    code = "E032" if width < names else "E030"
    raise DataError(
        code,
        "rows must have as many fields as the header",
        where=f"{where}:1",
        value=value,
        mend="mend the header, or set data.header: false when it is data",
    )


def _ends_empty(record: bytes, dialect: Dialect) -> bool:
    return record.rstrip(b"\r\n").endswith(dialect.delimiter.encode())


def refuse_count(block: Block, record: int, names: list[str], where: str, dialect: Dialect) -> NoReturn:
    """E030 or E032; E028 for the header of a second table, E027 for a remark at the end, E035 for other quotes."""
    count, width = int(block.scan.fields[record]), len(names)
    text = block.record(record)
    at, value = f"{where}:{block.line_of(record)}", f"{count} of {width} fields: {first_line(text)}"
    if _is_remark(block, record) and not _other_delimiter(text, width, dialect):
        what = "the table must end with its last row"
        raise DataError("E027", what, where=at, value=first_line(text), mend="remove the footer")
    if count >= 2 and first_line(text).split(dialect.delimiter)[0].strip('" ') == names[0]:
        mend = "put the second table into its own file"
        raise DataError("E028", "a table must have its header once", where=at, value=value, mend=mend)
    code, mend = "E030" if count > width else "E032", _other_delimiter(text, width, dialect)
    if not mend and (other := _other_quote(text, dialect)):
        code, mend = "E035", f"set data.quote: {other!r}"
    mend = mend or "mend that line: its delimiters or its quotes are wrong"
    raise DataError(
        code, "every row must have as many fields as the header", where=at, value=value, mend=mend
    )


def _is_remark(block: Block, record: int) -> bool:
    """Text in one field, among the last three lines."""
    near_end = block.final and len(block.scan.ends) - record <= 3
    return near_end and block.scan.fields[record] == 1 and looks(first_line(block.record(record))) == "text"


def _other_quote(text: bytes, dialect: Dialect) -> str:
    """A quote character that opens after a delimiter and closes before one, and is not the dialect's."""
    for other in "'\"":
        opens, closes = (dialect.delimiter + other).encode(), (other + dialect.delimiter).encode()
        if other != dialect.quote and opens in text and closes in text:
            return other
    return ""


def _other_delimiter(text: bytes, width: int, dialect: Dialect) -> str:
    for other in (*DELIMITERS, " "):
        if other != dialect.delimiter and width >= 2 and text.count(other.encode()) == width - 1:
            used = NAMES.get(dialect.delimiter, dialect.delimiter)
            return f"that line is delimited by {NAMES[other]}, the others by {used}"
    return ""


def refuse_text_behind_blank(block: Block, record: int, blank_line: int, where: str) -> None:
    """E027 or E028 when text follows an empty line."""
    blank = blank_records(block.text, block.scan)
    texts = [i for i in range(record, len(blank)) if not blank[i]]
    if not texts:
        return
    line = block.line_of(texts[0])
    value = f"line {line}: {first_line(block.record(texts[0]))}"
    if _is_remark(block, texts[0]):
        mend = "remove the footer"
        raise DataError(
            "E027",
            "the table must end at its first empty line",
            where=f"{where}:{blank_line}",
            value=value,
            mend=mend,
        )
    mend = "remove the empty line; when another table follows, put it into its own file"
    raise DataError(
        "E028",
        "a table must not have an empty line inside",
        where=f"{where}:{blank_line}",
        value=value,
        mend=mend,
    )


def refuse_broken_quotes(block: Block, dialect: Dialect, where: str) -> None:
    """E033 or E035 for the first quote that breaks the grammar; nothing when there is none."""
    fault = block.scan.fault
    if fault < 0 and not (block.final and block.scan.open_quote >= 0):
        return
    at = fault if fault >= 0 else block.scan.open_quote
    line = block.line + line_ends(block.text[:at])
    start = max(block.text.rfind(b"\n", 0, at), block.text.rfind(b"\r", 0, at)) + 1
    column = len(block.text[start:at].decode(errors="replace")) + 1
    code, mend = _quote_mend(block.text, at, dialect)
    what = (
        "a quote must open and close a whole field, doubled inside it"
        if fault >= 0
        else "a quote must be closed"
    )
    raise DataError(
        code, what, where=f"{where}:{line}:{column}", value=first_line(block.text[at : at + 100]), mend=mend
    )


def _quote_mend(text: bytes, at: int, dialect: Dialect) -> tuple[str, str]:
    quote = dialect.quote.encode()
    end = text.find(b"\n", at)
    line = text[max(text.rfind(b"\n", 0, at) + 1, at - 10_000) : end if end >= 0 else at + 10_000]
    if b"\\" + quote in line:
        return "E035", "double each quote inside a field: a backslash does not escape it"
    if dialect.delimiter.encode() + b" " + quote in line:
        return "E033", "remove the space between delimiter and quote"
    return "E033", "mend that line, or set data.quote: '' when quotes are plain text in this file"


def refuse_endless_record(block: Block, width: int, dialect: Dialect, where: str, limit: int) -> NoReturn:
    """E033 for a quote that swallows rows, E016 for a line or a field without an end."""
    begin, open_quote = block.scan.length, block.scan.open_quote
    at = max(begin, open_quote)
    place = f"{where}:{block.line + line_ends(block.text[:at])}"
    inner = block.text[at : at + 10_000].splitlines()[1:-1]
    rows = sum(line.count(dialect.delimiter.encode()) == width - 1 for line in inner)
    if open_quote >= 0 and width >= 2 and inner and 2 * rows >= len(inner):
        code, what, mend = "E033", "a quote must be closed", "close it, or remove it"
    else:
        what = f"a line, and a field, must be shorter than {limit:,} bytes"
        code, mend = "E016", "is this a text table, with the right quotes?"
    raise DataError(code, what, where=place, value=first_line(block.text[at : at + 100]), mend=mend)


def refuse_width(width: int, limit: int, where: str) -> NoReturn:
    what, value = f"a table must have at most {limit:,} columns", f"{width:,} columns"
    raise DataError("E039", what, where=f"{where}:1", value=value, mend="is it written sideways?")
