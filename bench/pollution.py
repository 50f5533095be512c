"""Polluted versions of one clean CSV file through the strict reader, and through pandas' defaults beside it.

    python bench/pollution.py [--keep FOLDER]

The kinds of damage are those of the public suite Pollock (Vitagliano et al. 2023), made anew: every row with another
delimiter, quote, row separator, with a field too many or too few, and whole files. A file is read exactly (equal to
the clean table), refused with a line that is damaged, refused with another one, or loaded as something else: silent.
Imports nothing of the reader but its entry. Writes bench/results/pollution.json; --keep writes the files, too.
"""

from __future__ import annotations

import argparse
import io
import json
import platform
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

RESULTS = Path(__file__).parent / "results" / "pollution.json"
ROWS = 83
NAMES = ["DATE", "TIME", "Qty", "PRODUCTID", "Price", "ProductType", "ProductDescription", "URL", "Comments"]
COMMENTS = [
    "",
    "fits, mostly",
    'says "so"',
    "plain",
    "two\nlines",
    "a; b",
    "it's",
    "tab\there",
    "bar | bar",
    "",
]
TYPES = ["Desk", "Mouse, small", "Lamp", "Chair"]
ANY_LINE = frozenset[int]()


@dataclass(frozen=True)
class Polluted:
    """``lines`` are those that a refusal may name; none means that the damage is everywhere."""

    kind: str
    name: str
    content: bytes
    lines: frozenset[int] = ANY_LINE


def clean_rows() -> list[list[str]]:
    """83 rows of nine columns: dates, numbers, texts with delimiters, quotes and newlines in them."""
    rows = [
        [
            f"2021-{1 + i % 12:02d}-{1 + i * 7 % 28:02d}",
            f"{i * 5 % 24:02d}:{i * 13 % 60:02d}",
            str(1 + i * 3 % 9),
            f"AB{i * 7919 % 9000 + 1000}",
            f"{i * 37 % 5000 / 100:.2f}",
            TYPES[i % 4],
            f"{TYPES[i % 4].split(',')[0].lower()} no {i * 11 % 97} in {('oak', 'steel', 'glass')[i % 3]}",
            f"http://www.example.com/{i}.html",
            COMMENTS[i % 10],
        ]
        for i in range(ROWS)
    ]
    return [NAMES, *rows]


def field(text: str, quote: str = '"', delimiters: str = ',"\n\r') -> str:
    if not any(c in text for c in delimiters + quote):
        return text
    return quote + text.replace(quote, 2 * quote) + quote


def line(row: list[str], delimiter: str = ",", quote: str = '"') -> str:
    return delimiter.join(field(cell, quote, delimiter + quote + "\n\r") for cell in row)


def written(rows: list[list[str]], delimiter: str = ",", quote: str = '"', end: str = "\n") -> str:
    return "".join(line(row, delimiter, quote) + end for row in rows)


CLEAN = clean_rows()
LINES = [line(row) for row in CLEAN]
STARTS = [1 + sum(text.count("\n") + 1 for text in LINES[:i]) for i in range(len(LINES))]
"""The line of the file on which each row begins."""


def replaced(number: int, text: str, end: str = "\n") -> bytes:
    """The clean file with another text, or another end, of one row."""
    parts = [*LINES[:number], text, *LINES[number + 1 :]]
    return "".join(t + (end if i == number else "\n") for i, t in enumerate(parts)).encode()


def around(number: int) -> frozenset[int]:
    """The lines of a row, and the next one's first: a merged row ends there."""
    begin = STARTS[number]
    return frozenset(range(begin, begin + LINES[number].count("\n") + 2))


def row_pollutions(number: int) -> Iterator[Polluted]:
    """Every damage of one row."""
    row, text, lines = CLEAN[number], LINES[number], around(number)

    def made(kind: str, what: object, content: bytes) -> Polluted:
        return Polluted(kind, f"{kind}_{number}_{what}", content, lines)

    for delimiter in ";\t| ":
        yield made("row_delimiter", ord(delimiter), replaced(number, line(row, delimiter)))
    for end in ("\r\n", "\r", "", "\n\n", "\n\r"):
        yield made("row_separator", end.encode().hex() or "none", replaced(number, text, end))
    for at in (1, 4, 8):
        parts = [field(cell) for cell in row]
        merged = [*parts[: at - 1], parts[at - 1] + parts[at], *parts[at + 1 :]]
        yield made("row_less_delimiter", at, replaced(number, ",".join(merged)))
        yield made("row_more_delimiter", at, replaced(number, ",".join([*parts[:at], "", *parts[at:]])))
    yield made("row_missing_fields", "last", replaced(number, line(row[:-2])))
    yield made("row_extra_fields", "last", replaced(number, line([*row, "x", "y"])))
    for at in (0, 3, 6):
        parts = [field(cell) for cell in row]
        for kind, cell in {
            "start": '"' + parts[at],
            "middle": parts[at][:2] + '"' + parts[at][2:],
            "end": parts[at] + '"',
        }.items():
            damaged = ",".join([*parts[:at], cell, *parts[at + 1 :]])
            yield made(f"row_extra_quote_{kind}", at, replaced(number, damaged))
    yield made("row_other_quote", "all", replaced(number, ",".join(f"'{cell}'" for cell in row)))
    if '""' in text:
        yield made("row_escape", "backslash", replaced(number, text.replace('""', '\\"')))
    if '"' in text:
        yield made("row_missing_quote", "first", replaced(number, text.replace('"', "", 1)))
        yield made("row_missing_quote", "last", replaced(number, "".join(text.rsplit('"', 1))))
        if '""' not in text:  # a value without its own quotation marks is a value: no reader could know
            yield made("row_missing_quote", "all", replaced(number, text.replace('"', "")))


def file_pollutions() -> Iterator[Polluted]:
    """Damage to the file as a whole, and other spellings of it."""
    text = written(CLEAN)
    spellings = {
        **{f"delimiter_{ord(d)}": written(CLEAN, d).encode() for d in ",;\t| ^:~"},
        **{f"quote_{ord(q)}": written(CLEAN, quote=q).encode() for q in "'`"},
        **{f"separator_{e.encode().hex()}": written(CLEAN, end=e).encode() for e in ("\r\n", "\r")},
        **{f"encoding_{e}": text.encode(e) for e in ("utf-8-sig", "utf-16", "utf-16-le", "utf-32")},
        "trailing_newline_none": text.removesuffix("\n").encode(),
        "trailing_newlines": (text + "\n\n\n").encode(),
        "all_quoted": "".join(
            ",".join(f'"{c.replace(chr(34), 2 * chr(34))}"' for c in row) + "\n" for row in CLEAN
        ).encode(),
    }
    damages = {
        "no_payload": b"",
        "blank": b"\n\n\n",
        "header_only": (LINES[0] + "\n").encode(),
        "no_header": written(CLEAN[1:]).encode(),
        "header_twice": (LINES[0] + "\n" + text).encode(),
        "header_two_rows": (",".join(f"group {i // 3}" for i in range(9)) + "\n" + text).encode(),
        "header_in_other_case": (
            "date,Date" + LINES[0][LINES[0].index(",Qty") :] + "\n" + written(CLEAN[1:])
        ).encode(),
        "header_empty_name": replaced(0, LINES[0].replace("Price", "")),
        "header_equal_names": replaced(0, LINES[0].replace("Price", "Qty")),
        "header_long": replaced(0, LINES[0] + ",more"),
        "header_short": replaced(0, LINES[0].removesuffix(",Comments")),
        "preamble": ("Sales of 2021\n\n" + text).encode(),
        "preamble_of_delimiters": ("Sales of 2021,,,,,,,,\n,,,,,,,,\n" + text).encode(),
        "comment": ("# made by us\n" + text).encode(),
        "footer": (text + "Total,,,,3021.10,,,,\n").encode(),
        "remark": (text + "\nSource: us\n").encode(),
        "second_table": (text + "\nName,Age\nAnn,3\nBob,4\n").encode(),
        "table_twice": (text + text).encode(),
        "delimiter_behind_each_row": "".join(t + ",\n" for t in LINES).encode(),
        "delimiter_before_each_row": "".join("," + t + "\n" for t in LINES).encode(),
        "rows_longer_than_header": (LINES[0] + "\n" + "".join(t + ",x\n" for t in LINES[1:])).encode(),
        "blank_line_in_the_middle": (written(CLEAN[:40]) + "\n" + written(CLEAN[40:])).encode(),
        "cut": text[: len(text) * 2 // 3].encode(),
        "latin_1": (text.replace("oak", "chêne")).encode("latin-1"),
        "nul": text.replace("glass", "gla\0ss", 1).encode(),
        "escaped_by_backslash": text.replace('""', '\\"').encode(),
        "no_quotes": text.replace('"', "").encode(),
        "delimiter_two_characters": written(CLEAN).replace(",", ", ").encode(),
        "delimiters_mixed": (written(CLEAN[:40]) + written(CLEAN[40:], ";")).encode(),
    }
    for name, content in spellings.items():
        yield Polluted("file_spelling", name, content)
    for name, content in damages.items():
        yield Polluted("file_damage", name, content)


def polluted() -> list[Polluted]:
    return [*file_pollutions(), *(found for number in range(1, ROWS + 1) for found in row_pollutions(number))]


def by_etude(path: Path) -> tuple[list[list[str | None]] | None, str]:
    """The names and rows that came out, or None and the refusal's place."""
    from etude.errors import InputError
    from etude.experiment import Data
    from etude.reading.any_table import read

    try:
        table = read(Data(source=path.name, target="Price"), path.parent).table
    except InputError as error:
        return None, error.where
    return [table.column_names, *map(list, zip(*(c.to_pylist() for c in table.columns), strict=True))], ""


def by_pandas(content: bytes) -> list[list[str]] | None:
    import pandas as pd

    try:
        frame = pd.read_csv(io.BytesIO(content), dtype=str, keep_default_na=False)
    except (ValueError, pd.errors.ParserError):
        return None
    return [list(map(str, frame.columns)), *frame.to_numpy().tolist()]


def outcome(case: Polluted, folder: Path) -> str:
    """``exact``, ``refused``, ``refused elsewhere`` or ``silent``."""
    path = folder / "table.csv"
    path.write_bytes(case.content)
    rows, where = by_etude(path)
    if rows is not None:
        return "exact" if [[c or "" for c in row] for row in rows] == CLEAN else "silent"
    number = where.partition(",")[0].partition(":")[2].partition(":")[0]
    return "refused" if not case.lines or (number and int(number) in case.lines) else "refused elsewhere"


def measure() -> dict[str, object]:
    etude: dict[str, Counter[str]] = defaultdict(Counter)
    pandas: dict[str, Counter[str]] = defaultdict(Counter)
    noted: dict[str, list[str]] = {"silent": [], "refused elsewhere": [], "spellings refused": []}
    cases = polluted()
    with tempfile.TemporaryDirectory() as folder:
        for case in cases:
            found = outcome(case, Path(folder))
            etude[case.kind][found] += 1
            if found in noted:
                noted[found].append(case.name)
            if case.kind == "file_spelling" and found != "exact":
                noted["spellings refused"].append(case.name)
            rows = by_pandas(case.content)
            pandas[case.kind]["refused" if rows is None else "exact" if rows == CLEAN else "silent"] += 1
    total = {name: sum(found.values(), Counter()) for name, found in (("etude", etude), ("pandas", pandas))}
    return {
        "files": len(cases),
        "total": total,
        "etude": etude,
        "pandas": pandas,
        **noted,
        "python": platform.python_version(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--keep", type=Path, help="a folder for the polluted files")
    folder = parser.parse_args().keep
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
        for case in polluted():
            (folder / f"{case.kind}_{case.name}.csv").write_bytes(case.content)
    found = measure()
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    print(
        json.dumps(
            {
                key: found[key]
                for key in ("files", "total", "silent", "refused elsewhere", "spellings refused")
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
