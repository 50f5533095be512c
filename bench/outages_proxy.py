"""An HTTP proxy in front of MLflow that does what networks and servers do: refuses, fails, waits, loses answers."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from etude.seeds import numpy_generator

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host"}


class Proxy(ThreadingHTTPServer):
    """``mode``: whole, failing (500 on a third of the calls), late (``seconds`` before each answer), lossy (a third of
    the answers are lost after the server has done what was asked), doubling (each call reaches the server twice)."""

    daemon_threads = True

    def __init__(self, target_port: int, mode: str = "whole", seconds: float = 0.0) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target_port, self.mode, self.seconds = target_port, mode, seconds
        self.calls = self.disturbed = 0
        self.chance = numpy_generator(0, "bench/outages")
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Who hangs up is not worth a traceback."""


class _Handler(BaseHTTPRequestHandler):
    server: Proxy
    protocol_version = "HTTP/1.1"

    def _any(self) -> None:
        proxy = self.server
        proxy.calls += 1
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        unlucky = proxy.chance.random() < 1 / 3 and self.path != "/health"
        if proxy.mode == "failing" and unlucky:
            proxy.disturbed += 1
            self._answer(500, {}, b"no")
            return
        if proxy.mode == "late":
            proxy.disturbed += 1
            time.sleep(proxy.seconds)
        for _ in range(2 if proxy.mode == "doubling" and unlucky else 1):
            answer = self._forwarded(body)
        if proxy.mode == "lossy" and unlucky:
            proxy.disturbed += 1
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return
        self._answer(*answer)

    def _forwarded(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.target_port, timeout=300)
        headers = {k: v for k, v in self.headers.items() if k.lower() not in HOP_BY_HOP}
        try:
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        except OSError:
            return 502, {}, b"the server is away"
        finally:
            connection.close()

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in HOP_BY_HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _any  # noqa: N815

    def log_message(self, *said: object) -> None:
        pass
