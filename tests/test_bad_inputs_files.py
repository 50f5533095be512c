"""Bad inputs 1-19: what is no file, no table, or not what it says, through the command."""

from __future__ import annotations

import gzip
import io
import os
import shutil
import socket
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyarrow as pa
import pytest
from bad_inputs import check, etude, experiment, refused, table
from pyarrow import csv, parquet

from etude.reading import file_formats
from etude.reading.local_files import StoredFile

CLEAN = table()
PICKLE = b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00\x8c\x02os\x94\x8c\x06system\x94\x93\x94."


def zipped(**members: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("_", "."), content)
    return packed.getvalue()


def as_parquet() -> bytes:
    sink = io.BytesIO()
    parquet.write_table(csv.read_csv(io.BytesIO(CLEAN.encode())), sink)
    return sink.getvalue()


REFUSED = {
    "3 no bytes": ("", "E003", "table.csv", "bring rows"),
    "4 blank lines": (" \n\n\t\n", "E004", "table.csv", "bring rows"),
    "5 a header alone": ("x,c,y\n", "E005", "table.csv:1", "no rows"),
    "6 no header": ("1,2\n3,4\n", "E006", "table.csv:1", "data.header: false"),
    "10 a picture": (b"\x89PNG\r\n\x1a\n" + bytes(60), "E010", "PNG", "CSV or Parquet"),
    "10 a pickle": (PICKLE, "E010", "pickle", "CSV or Parquet"),
    "12 a bomb": (gzip.compress(b"a,b\n" + b"1,2\n" * 2_000_000), "E012", "table.csv", "plain file"),
    "13 two members": (zipped(a_csv=CLEAN, b_csv=CLEAN), "E013", "2: a.csv, b.csv", "unpack"),
    "13 a member outside": (zipped(**{"../../etc/a_csv": CLEAN}), "E013", "../../etc/a.csv", "pack it again"),
    "15 half a gzip": (gzip.compress(CLEAN.encode())[:-9], "E015", "table.csv", "copy it again"),
    "15 no footer": (as_parquet()[:-8], "E015", "table.csv", "copy it again"),
    "18 a page saved as CSV": ("<!DOCTYPE html>\n<html>404</html>\n", "E010", "table.csv", "CSV or Parquet"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_table_is_refused(tmp_path: Path, case: str) -> None:
    content, code, found, mend = REFUSED[case]
    refused(check(tmp_path, content), code, found, mend)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["e.yaml", "table.csv"], "nothing is left behind"


def test_1_a_missing_path_shows_the_nearest_name(tmp_path: Path) -> None:
    (tmp_path / "titanic.csv").write_text(CLEAN)
    refused(etude("check", str(experiment(tmp_path, "titanik.csv"))), "E001", "titanik.csv", "'titanic.csv'?")


def test_2_a_folder_a_fifo_and_a_device_are_no_tables(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe.csv")
    for source, found in {"folder": "a folder", "pipe.csv": "a FIFO", "/dev/zero": "a device"}.items():
        refused(etude("check", str(experiment(tmp_path, source))), "E002", found)


def test_2_a_socket_is_no_table() -> None:
    folder = Path(tempfile.mkdtemp(dir="/tmp"))  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "s.csv"))
        refused(etude("check", str(experiment(folder, "s.csv"))), "E002", "a socket")
    shutil.rmtree(folder)


def test_7_a_closed_file_names_the_user_and_the_mode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment(tmp_path)
    (tmp_path / "table.csv").write_text(CLEAN)
    (tmp_path / "table.csv").chmod(0o200)
    if os.getuid() == 0:  # root may read everything: the kernel's answer to anybody else is made by hand
        really = os.open

        def forbidden(path: object, *rest: int, **keys: int) -> int:
            if str(path).endswith("table.csv"):
                raise PermissionError(13, "Permission denied", str(path))
            return really(path, *rest, **keys)

        monkeypatch.setattr(os, "open", forbidden)
    refused(etude("check", str(tmp_path / "e.yaml")), "E007", f"uid {os.getuid()}, mode 0200", "chmod")


def test_8_a_broken_and_a_looping_link_are_refused(tmp_path: Path) -> None:
    (tmp_path / "loop.csv").symlink_to("loop.csv")
    (tmp_path / "lost.csv").symlink_to("nowhere.csv")
    for source, found in {"loop.csv": "points at itself", "lost.csv": "nowhere.csv"}.items():
        refused(etude("check", str(experiment(tmp_path, source))), "E008", found, "point it at")


@pytest.mark.parametrize("change", ["longer", "shorter", "touched"])
def test_9_a_file_that_changes_while_it_is_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    really = StoredFile.head

    def head(self: StoredFile, size: int) -> bytes:
        found = really(self, size)
        if change == "longer":
            self.path.write_bytes(self.path.read_bytes() + b"1,red,no\n")
        elif change == "shorter":
            os.truncate(self.path, 600)
        else:
            os.utime(self.path, (1, 1))
        return found

    monkeypatch.setattr(StoredFile, "head", head)
    told = check(tmp_path, CLEAN)
    if change == "shorter":  # a torn last line may be seen first
        assert told.exit_code == 2
    else:
        refused(told, "E009", "table.csv", "when nothing writes to it")


PACKED: dict[str, tuple[str, Callable[[], bytes]]] = {
    "11 gzip": ("table.csv.gz", lambda: gzip.compress(CLEAN.encode())),
    "11 zip": ("table.zip", lambda: zipped(table_csv=CLEAN)),
    "11 zstd": ("table.csv.zst", lambda: pa.compress(CLEAN.encode(), codec="zstd", asbytes=True)),
    "14 gzip without its ending": ("table.csv", lambda: gzip.compress(CLEAN.encode())),
    "11 Parquet": ("table.parquet", as_parquet),
}


@pytest.mark.parametrize("case", PACKED)
def test_a_packed_table_is_the_table(tmp_path: Path, case: str) -> None:
    name, content = PACKED[case]
    told = check(tmp_path, content(), name)
    assert told.exit_code == 0, told.line
    assert told.snapshot == check(tmp_path, CLEAN).snapshot


def test_14_content_decides_and_the_wrong_name_is_said_aloud(tmp_path: Path) -> None:
    told = check(tmp_path, as_parquet())
    assert told.snapshot == check(tmp_path, CLEAN).snapshot
    told = check(tmp_path, as_parquet())
    assert "the name says csv, the content is parquet" in told.warnings
    refused(check(tmp_path, CLEAN, "table.parquet"), "E014", "text, not parquet", ".csv")


def test_12_a_bomb_is_refused_after_a_small_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = 0
    really = StoredFile.readinto

    def readinto(self: StoredFile, buffer: object) -> int:
        nonlocal size
        size += (count := really(self, buffer))
        return count

    monkeypatch.setattr(StoredFile, "readinto", readinto)
    bomb = gzip.compress(b"a,b\n" * 25_000_000)
    refused(check(tmp_path, bomb), "E012", "table.csv")
    assert size < len(bomb)


@pytest.mark.parametrize(("what", "line"), [("a line", 4), ("a field in quotes", 4)])
def test_16_a_line_without_an_end_is_refused_in_little_memory(tmp_path: Path, what: str, line: int) -> None:
    quote = '"' if what != "a line" else ""
    with (tmp_path / "table.csv").open("w") as file:
        file.write("x,c,y\n1,red,no\n2,red,yes\n3," + quote)
        for _ in range(100):
            file.write("a" * 1_000_000)
        file.write(quote + ",no\n")
    before = pa.total_allocated_bytes()
    refused(etude("check", str(experiment(tmp_path))), "E016", f"table.csv:{line}", "")
    assert pa.total_allocated_bytes() - before < 10_000_000


def test_17_a_table_that_does_not_fit_is_refused_with_the_estimate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_formats, "free_bytes", lambda: 1_000)
    refused(check(tmp_path, CLEAN), "E017", "GiB needed", "fewer rows")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Addresses on this machine that lead elsewhere, to a page, to nothing, or to the table."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.lstrip("/")
            status = {"goto": 302, "table.csv": 200, "page.csv": 200}.get(name, 404)
            body = CLEAN.encode() if name == "table.csv" else b"<html>sorry</html>"
            self.send_response(status)
            self.send_header("Location", "file:///etc/passwd")
            self.send_header("Content-Type", "text/csv")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815 -- the name that http.server looks for

        def log_message(self, *_: object) -> None:
            """Quiet."""

    monkeypatch.setenv("no_proxy", "*")
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def test_18_an_address_must_give_the_promised_table(tmp_path: Path, server: str) -> None:
    def told(name: str, **keys: str):
        return etude("check", str(experiment(tmp_path, f"{server}/{name}", **keys)), "--json")

    refused(told("goto"), "E018", "file:///etc/passwd")
    refused(told("lost.csv"), "E018", "404")
    refused(told("page.csv"), "E010", "page.csv")
    refused(told("table.csv", sha256="0" * 64), "E018", "sha256")
    assert told("table.csv").snapshot == check(tmp_path, CLEAN).snapshot


NAMES = ["two words.csv", "-rf.csv", "new\nline.csv", "naïve 表.csv", "$(touch x).csv", "a*b.csv", "é'\".csv"]


@pytest.mark.parametrize("name", NAMES)
def test_19_any_name_is_read(tmp_path: Path, name: str) -> None:
    told = check(tmp_path, CLEAN, name)
    assert told.exit_code == 0, told.line
    assert len(list(tmp_path.iterdir())) == 2


def test_19_a_path_may_leave_the_folder_of_the_experiment(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text(CLEAN)
    (tmp_path / "deep").mkdir()
    assert etude("check", str(experiment(tmp_path / "deep", "../table.csv"))).exit_code == 0
