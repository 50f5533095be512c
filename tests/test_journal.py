"""The journal: whole lines, in order, whatever happened to the file's end."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from etude import journal
from etude.errors import DiskFullError, EtudeError
from etude.journal import Journal, damaged, entries


def written(path: Path, count: int) -> Journal:
    opened = Journal(path)
    for number in range(count):
        opened.append("tags", {"of": {"number": str(number), "text": "é\n\x00"}})
    return opened


def numbers(path: Path, start: int = 0) -> list[str]:
    return [entry.content["of"]["number"] for entry in entries(path, start)]


def test_what_was_appended_is_read_in_order_from_any_entry_on(tmp_path: Path) -> None:
    path = tmp_path / "a" / "journal"
    written(path, 5).close()
    found = list(entries(path))
    assert [entry.content["of"]["text"] for entry in found] == ["é\n\x00"] * 5
    assert numbers(path, found[2].end) == ["3", "4"]
    assert found[-1].end == path.stat().st_size
    assert oct(path.stat().st_mode)[-3:] == "600"


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_torn_end_is_no_entry_and_the_next_one_stands_whole_behind_it(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "journal"
    written(path, 3).close()
    os.truncate(path, path.stat().st_size - cut)
    assert numbers(path) == ["0", "1"]
    written(path, 1).close()
    assert numbers(path) == ["0", "1", "0"]
    assert damaged(path) == []


def test_every_flipped_bit_is_seen_and_costs_one_entry(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    written(path, 3).close()
    content = path.read_bytes()
    first = content.index(b"\n") + 1
    for bit in range(8 * first, 8 * len(content) - 8, 5):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        left = numbers(path)
        assert len(left) < 3
        assert set(left) < {"0", "1", "2"}
        assert damaged(path)


def test_another_format_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "journal"
    monkeypatch.setattr(journal, "FORMAT_VERSION", 99)
    written(path, 1).close()
    monkeypatch.undo()
    with pytest.raises(EtudeError, match=r"E130 a journal must have format 1.*found '99'"):
        list(entries(path))


def test_a_full_disk_leaves_the_journal_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "journal"
    opened = written(path, 2)
    write = os.write

    def half(descriptor: int, line: bytes) -> int:
        if len(line) < 20:
            raise OSError(errno.ENOSPC, "no space left")
        return write(descriptor, line[: len(line) - 10])

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(DiskFullError):
        opened.append("tags", {"of": {"number": "2"}})
    monkeypatch.undo()
    opened.append("tags", {"of": {"number": "3"}})
    opened.close()
    assert numbers(path) == ["0", "1", "3"]


WRITER = """
import sys
from pathlib import Path
from etude.journal import Journal
opened = Journal(Path(sys.argv[1]))
number = 0
while True:
    opened.append("tags", {"of": {"number": str(number)}})
    number += 1
    print(number, flush=True)
"""


def test_what_a_killed_process_had_appended_is_there(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if int(line) == 200:
            break
    time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    said = [int(line) for line in process.stdout]
    process.wait()
    process.stdout.close()
    count = len(numbers(path))
    assert numbers(path) == [str(number) for number in range(count)]
    assert count >= (said[-1] if said else 200)
    assert damaged(path) == []
