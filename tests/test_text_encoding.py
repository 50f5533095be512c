"""Any text as UTF-8, in pieces of any size, or the place of the first byte that is none."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etude.errors import DataError
from etude.reading.text_encoding import Encoding, Utf8Text, find_encoding, line_ends


def read_in_pieces(content: bytes, encoding: str, size: int, mark: bytes = b"") -> bytes:
    text = Utf8Text(io.BytesIO(content), Encoding(encoding, mark), "t.csv")
    return b"".join(iter(lambda: text.read(size), b""))


@settings(max_examples=200, deadline=None)
@given(
    st.text(max_size=60),
    st.sampled_from(["utf-8", "utf-16-le", "utf-16-be", "utf-32-le"]),
    st.integers(1, 50),
)
def test_pieces_of_any_size_give_the_same_text(text, encoding, size):
    assert read_in_pieces(text.encode(encoding), encoding, size) == text.encode()


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_the_place_of_a_wrong_byte_does_not_depend_on_the_pieces(line_end, size):
    content = f"a,b{line_end}é,1{line_end}2,".encode() + b"\xe9,3\n"
    with pytest.raises(DataError) as caught:
        read_in_pieces(content, "utf-8", size)
    assert caught.value.where == f"t.csv:3, byte {content.index(0xE9)}"
    assert caught.value.value == "0xe9"


@pytest.mark.parametrize(
    "mark", [b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"\xff\xfe\0\0", b"\0\0\xfe\xff"]
)
def test_a_byte_order_mark_names_the_encoding_and_is_no_text(mark):
    names = {3: "utf-8", 2: "utf-16", 4: "utf-32"}
    found = find_encoding(mark + b"x", None, "t.csv")
    assert found.name.startswith(names[len(mark)])
    assert found.mark == mark
    assert read_in_pieces(mark + "é\n".encode(found.name), found.name, 3, mark) == "é\n".encode()


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "mac-roman", "shift_jis"])
def test_a_declared_encoding_is_used(encoding):
    text = "Zoë, 1\n" if encoding != "shift_jis" else "表, 1\n"
    assert read_in_pieces(text.encode(encoding), encoding, 4) == text.encode()


def test_plain_ascii_agrees_with_every_declaration():
    assert read_in_pieces(b"a,b\n", "cp1252", 3) == b"a,b\n"


def test_lines_end_in_three_ways():
    assert [line_ends(text) for text in (b"", b"a\nb\n", b"a\r\nb\r\n", b"a\rb\r", b"a\r\r\n\n\r")] == [
        0,
        2,
        2,
        2,
        4,
    ]
