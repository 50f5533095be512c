"""A file from the web, as a local copy: followed only to public addresses, complete, and what was promised."""

from __future__ import annotations

import http.client
import ipaddress
import ssl
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote, urlsplit

from etude.errors import DataError
from etude.reading.byte_streams import write_piece

TIMEOUT_SECONDS = 30
CHUNK = 1 << 18
MAX_DOWNLOAD_BYTES = 32 << 30
AGENT = "etude"
HINTS = ("ETag", "Last-Modified", "Content-Length")


def download(url: str, where: str, folder: Path, on_progress: Callable[[int, int], None]) -> Path:
    """The body of ``url`` in a file of ``folder``; DataError E018 for whatever is not that file, whole.

    Redirects stay with http and https; one that leads from a public address to a private one is refused. E009 when
    the file changed between the answer and the end of the copy.
    """
    opener = _opener(where)
    try:
        with opener.open(_request(url), timeout=TIMEOUT_SECONDS) as answer:
            _check_type(answer.headers.get_content_type(), where)
            path = folder / (Path(unquote(urlsplit(answer.url).path)).name or "download")
            with path.open("wb") as copy:
                _copy(answer, copy, where, on_progress)
            before = _hints(answer.headers)
        _check_unchanged(opener, url, before, where)
    except urllib.error.HTTPError as error:
        error.close()
        raise _failed(where, f"{error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        raise _failed(where, error.reason) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _failed(where, error) from error
    return path


def _request(url: str, method: str = "GET") -> urllib.request.Request:
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    request = urllib.request.Request(
        parts._replace(netloc=host).geturl(), headers={"User-Agent": AGENT}, method=method
    )
    if parts.username:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        # Not sent again to where a redirect leads.
        request.add_unredirected_header("Authorization", "Basic " + b64encode(pair.encode()).decode())
    return request


def _failed(where: str, value: object) -> DataError:
    return DataError(
        "E018",
        "the address must give the file",
        where=where,
        value=value,
        mend="open it in a browser to see why",
    )


def _check_type(kind: str, where: str) -> None:
    if kind in ("text/html", "application/xhtml+xml"):
        raise _failed(where, f"a page ({kind})")


def _copy(answer: Any, copy: IO[bytes], where: str, on_progress: Callable[[int, int], None]) -> None:
    total = int(answer.headers.get("Content-Length") or 0)
    done = 0
    while piece := answer.read(CHUNK):
        done += len(piece)
        if done > MAX_DOWNLOAD_BYTES:
            raise _failed(where, f"more than {MAX_DOWNLOAD_BYTES:,} bytes")
        write_piece(copy, piece)
        on_progress(done, max(done, total))
    if total and done != total:
        raise _failed(where, f"{done:,} of {total:,} bytes")


def _hints(headers: Any) -> dict[str, str]:
    return {name: headers[name] for name in HINTS if headers[name]}


def _check_unchanged(
    opener: urllib.request.OpenerDirector, url: str, before: dict[str, str], where: str
) -> None:
    """Servers that do not answer HEAD tell nothing."""
    try:
        with opener.open(_request(url, "HEAD"), timeout=TIMEOUT_SECONDS) as answer:
            after = _hints(answer.headers)
    except (OSError, http.client.HTTPException):
        return
    changed = [name for name in HINTS if name in before and name in after and before[name] != after[name]]
    if changed:
        value = f"{changed[0]} {before[changed[0]]}, then {after[changed[0]]}"
        mend = "read it again when nothing writes to it"
        raise DataError(
            "E009", "data.source must not change while it is read", where=where, value=value, mend=mend
        )


class _Guard(urllib.request.HTTPRedirectHandler):
    """Follows redirects by http and https; from a public first address only to public ones."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.starts_private: bool | None = None

    def redirect_request(self, req: urllib.request.Request, fp: IO[bytes], *rest: Any) -> Any:
        target = urlsplit(rest[-1])
        try:
            if target.scheme not in ("http", "https"):
                raise _failed(self.where, f"a redirect to {target.scheme}:")
            self.check_redirect(target.hostname or "")
        except DataError:
            fp.close()
            raise
        return super().redirect_request(req, fp, *rest)

    def check_redirect(self, address: str) -> None:
        """A name passes here: what it resolves to is checked when the connection stands."""
        if is_private(address) and not self.starts_private:
            raise _failed(self.where, f"a redirect to the private address {address}")

    def check_peer(self, address: str) -> None:
        """The first peer decides whether private ones may follow."""
        if self.starts_private is None:
            self.starts_private = bool(is_private(address))
        self.check_redirect(address)

    def watched(self, kind: Callable[..., http.client.HTTPConnection], request: Any) -> Callable[..., Any]:
        """Connections of ``kind`` whose peer is checked before anything is sent; a proxy's peer says nothing."""

        def connection(host: str, **options: Any) -> http.client.HTTPConnection:
            made = kind(host, **options)
            connect = made.connect

            def connect_and_check() -> None:
                connect()
                try:
                    if not request.has_proxy():
                        self.check_peer(made.sock.getpeername()[0])
                except DataError:
                    made.close()
                    raise

            made.connect = connect_and_check  # type: ignore[method-assign]
            return made

        return connection


def is_private(address: str) -> bool | None:
    """Whether an IP address is one of a private network, this machine or a link; None for a name."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    mapped = getattr(found, "ipv4_mapped", None)
    return not (mapped or found).is_global


def _opener(where: str) -> urllib.request.OpenerDirector:
    guard = _Guard(where)

    class Http(urllib.request.HTTPHandler):
        def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
            return self.do_open(guard.watched(http.client.HTTPConnection, req), req)

    class Https(urllib.request.HTTPSHandler):
        def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
            context = ssl.create_default_context()
            return self.do_open(guard.watched(http.client.HTTPSConnection, req), req, context=context)

    return urllib.request.build_opener(Http, Https, guard)
