"""The scanner and pyarrow against Python's own csv module, which knows nothing of either."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etude.errors import DataError
from etude.reading.csv_dialect import Dialect
from etude.reading.csv_scan import scan
from etude.reading.csv_strict import read_records

ANY_TEXT = st.text(st.sampled_from('ab,;"\n\r é'), max_size=40)


def rows_of(text: str, delimiter: str = ",", quote: str = '"') -> list[list[str]] | DataError:
    read = read_records(
        io.BytesIO(text.encode()), Dialect(delimiter, quote), "t.csv", header=False, free=1 << 40
    )
    if read.fault:
        return read.fault
    return [[cell or "" for cell in row.values()] for row in read.table.to_pylist()]


def agrees_with_python(text: str, delimiter: str = ",", quote: str = '"') -> bool:
    """Whether a text that is accepted has the rows that csv.reader finds; True for a refused one."""
    ours = rows_of(text, delimiter, quote)
    if isinstance(ours, DataError):
        return True
    theirs = list(
        csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quotechar=quote, strict=True)
    )
    while len(theirs) > len(ours) and not "".join(theirs[-1]).strip(" "):
        theirs.pop()  # empty lines at the end
    return ours == theirs


@settings(max_examples=400, deadline=None)
@given(ANY_TEXT)
def test_what_is_accepted_is_what_python_reads(text):
    assert agrees_with_python(text)
    assert agrees_with_python(text, ";", "'")


@pytest.mark.slow
@settings(max_examples=10_000, deadline=None)
@given(ANY_TEXT)
def test_what_is_accepted_is_what_python_reads_ten_thousand_times(text):
    assert agrees_with_python(text)


@settings(max_examples=200, deadline=None)
@given(ANY_TEXT, st.integers(1, 9))
def test_blocks_of_any_size_give_the_same_records(text, size):
    data = text.encode()
    whole = scan(data, ",", '"', final=True)
    waiting, ends, fields, offset = b"", [], [], 0
    for start in range(0, len(data) + size, size):
        piece = data[start : start + size]
        part = scan(waiting + piece, ",", '"', final=not piece)
        ends += [offset + int(end) for end in part.ends]
        fields += part.fields.tolist()
        offset += part.length
        waiting = (waiting + piece)[part.length :]
        if part.fault >= 0:
            break
    assert (ends, fields) == (whole.ends.tolist(), whole.fields.tolist())


FAULTS = {
    "a quote inside a field": ('a,b\n1,x"y\n', 7),
    "text behind a closed quote": ('a,b\n"1"x,2\n', 4),
    "a quote that closes too late": ('a,b\n"1,2\n"3",4\n', 4),
    "doubled quotes before the fault": ('a,b\n"1""2""3"x,2\n', 4),
    "a space before a quote": ('a,b\n1, "2"\n', 7),
}


@pytest.mark.parametrize("case", FAULTS)
def test_the_fault_is_where_the_field_opens(case):
    text, place = FAULTS[case]
    found = scan(text.encode(), ",", '"', final=True)
    assert (found.fault, found.ends.tolist()) == (place, [4])


def test_a_quote_left_open_is_remembered():
    assert scan(b'a,b\n1,"x\ny\n', ",", '"', final=True).open_quote == 6


def test_without_quotes_a_quote_is_text():
    found = scan(b'a,b\n5",6\n', ",", "", final=True)
    assert (found.fields.tolist(), found.fault) == ([2, 2], -1)
