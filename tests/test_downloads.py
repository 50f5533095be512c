"""Files from a real HTTP server on this machine: followed, complete, and what was promised."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from etude.errors import DataError, ExperimentError
from etude.experiment import Data
from etude.reading import downloads
from etude.reading.any_table import RawTable, read

TABLE = b"a,b\n1,2\n3,4\n"


class Answers(BaseHTTPRequestHandler):
    """One path for each thing that a server may do."""

    hits: ClassVar[dict[str, int]] = {}

    def do_GET(self) -> None:
        self.hits[self.path] = self.hits.get(self.path, 0) + 1
        asked = self.path.removeprefix("http://elsewhere.example")  # which a proxy is asked for
        name, _, rest = asked.lstrip("/").partition("/")
        if name == "goto":
            self._answer(302, b"", Location=rest)
        elif name == "cut":
            self._answer(200, TABLE[:-4], length=len(TABLE))
        elif name == "page":
            self._answer(200, b"<html>sorry</html>", kind="text/html")
        elif name == "changing":
            self._answer(200, TABLE, ETag=f'"{self.hits[self.path]}"')
        elif (
            name == "closed" and self.headers.get("Authorization") != "Basic YW5uOnMgM2NyZXQ="
        ):  # ann:s 3cret
            self._answer(401, b"")
        elif name in ("table.csv", "closed"):
            self._answer(200, TABLE, ETag='"1"')
        else:
            self._answer(404, b"<html>not here</html>", kind="text/html")

    do_HEAD = do_GET  # noqa: N815 -- the name that http.server looks for

    def _answer(
        self, status: int, body: bytes, kind: str = "text/csv", length: int = -1, **headers: str
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body) if length < 0 else length))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("no_proxy", "*")
    Answers.hits.clear()
    with ThreadingHTTPServer(("0.0.0.0", 0), Answers) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


class Promised(Data):
    sha256: str | None = None


def reading(url: str, **keys: object) -> RawTable:
    return read(Promised(source=url, target="a", **keys), Path("/nowhere"))


def test_a_table_is_downloaded_and_read(server):
    found = reading(f"{server}/table.csv")
    assert found.table.to_pylist() == [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]
    assert found.sha256 == hashlib.sha256(TABLE).hexdigest()
    assert found.source == f"{server}/table.csv"


def test_a_redirect_is_followed(server):
    assert reading(f"{server}/goto/{server}/table.csv").table.num_rows == 2


REFUSED = {
    "nothing there": ("gone.csv", "E018", "404 Not Found"),
    "a page": ("page", "E018", "a page (text/html)"),
    "half a file": ("cut", "E018", "8 of 12 bytes"),
    "a redirect to a file": (
        "goto/file:///etc/passwd",
        "E018",
        "302 Found - Redirection to url 'file:///etc/passwd' is not allowed",
    ),
    "a redirect to ftp": ("goto/ftp://127.0.0.1/x", "E018", "a redirect to ftp:"),
    "no password": ("closed", "E018", "401 Unauthorized"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refuses(server, case):
    path, code, value = REFUSED[case]
    with pytest.raises(DataError) as caught:
        reading(f"{server}/{path}")
    assert (caught.value.code, caught.value.where) == (code, f"{server}/{path}")
    assert str(caught.value.value) == value


def test_a_public_address_must_not_lead_to_a_private_one(server, monkeypatch):
    """127.0.0.1 stands for a public address here, 127.0.0.2 for a private one: same server, other address."""
    monkeypatch.setattr(downloads, "is_private", lambda address: address == "127.0.0.2")
    other = server.replace("127.0.0.1", "127.0.0.2")
    with pytest.raises(DataError, match=r"E018 .*a redirect to the private address 127\.0\.0\.2"):
        reading(f"{server}/goto/{other}/table.csv")
    assert "/table.csv" not in Answers.hits
    assert reading(f"{other}/goto/{server}/table.csv").table.num_rows == 2


def test_a_name_that_resolves_to_a_private_address_is_refused_before_anything_is_sent(server, monkeypatch):
    """The peer of the first connection counts as public, that of the second, to localhost, as private."""
    peers: list[str] = []

    def second_is_private(address: str) -> bool | None:
        if address == "localhost":
            return None
        peers.append(address)
        return len(peers) > 2  # each peer is asked about twice where it is the first

    monkeypatch.setattr(downloads, "is_private", second_is_private)
    with pytest.raises(DataError, match=r"E018 .*private address"):
        reading(f"{server}/goto/{server.replace('127.0.0.1', 'localhost')}/table.csv")
    assert "/table.csv" not in Answers.hits


def test_behind_a_proxy_no_redirect_leads_to_a_private_address(server, monkeypatch):
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("http_proxy", server)
    assert reading("http://elsewhere.example/table.csv").table.num_rows == 2
    with pytest.raises(DataError, match=r"a redirect to the private address 10\.0\.0\.1"):
        reading("http://elsewhere.example/goto/http://10.0.0.1/table.csv")


@pytest.mark.parametrize(
    ("address", "private"),
    [
        ("127.0.0.1", True),
        ("10.1.2.3", True),
        ("192.168.0.1", True),
        ("169.254.169.254", True),
        ("::1", True),
        ("fe80::1%eth0", True),
        ("::ffff:10.0.0.1", True),
        ("0.0.0.0", True),
        ("8.8.8.8", False),
        ("2606:4700::1111", False),
        ("example.org", None),
    ],
)
def test_private_addresses_are_known(address, private):
    assert downloads.is_private(address) is private


def test_a_file_that_changes_is_noticed(server):
    with pytest.raises(DataError, match=r'E009 .*found \'ETag "1", then "2"\''):
        reading(f"{server}/changing")


def test_the_promised_sha256_is_checked(server):
    right = hashlib.sha256(TABLE).hexdigest()
    assert reading(f"{server}/table.csv", sha256=right.upper()).sha256 == right
    with pytest.raises(DataError, match=f"E018 data.source must have its sha256, .*found '{right}'"):
        reading(f"{server}/table.csv", sha256="0" * 64)


def test_the_sha256_of_a_local_file_is_checked(tmp_path):
    (tmp_path / "t.csv").write_bytes(TABLE)
    with pytest.raises(DataError, match="E018"):
        read(Promised(source="t.csv", target="a", sha256="0" * 64), tmp_path)


def test_a_password_comes_from_the_environment_and_shows_nowhere(server, monkeypatch):
    monkeypatch.setenv("WEB_PASSWORD", "s 3cret")
    found = reading(f"{server.replace('//', '//ann:${WEB_PASSWORD}@')}/closed")
    assert found.table.num_rows == 2
    assert "3cret" not in found.source
    with pytest.raises(ExperimentError, match="E136"):
        reading(f"{server.replace('//', '//ann:s3cret@')}/closed")


def test_a_server_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with pytest.raises(DataError, match=r"E018 .*Connection refused"):
        reading("http://127.0.0.1:9/table.csv")
