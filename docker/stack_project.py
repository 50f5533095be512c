"""A compose project of its own beside any other, driven from a test: Python's standard library alone."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
HTTP_TIMEOUT_SECONDS = 60
COMMAND_TIMEOUT_SECONDS = 1800


def engine_answers() -> bool:
    """Whether both a Docker engine and the compose plugin are here."""
    try:
        return all(
            subprocess.run(["docker", *command], capture_output=True, timeout=30, check=False).returncode == 0
            for command in (["info"], ["compose", "version"])
        )
    except OSError:
        return False


def free_ports(count: int) -> list[int]:
    """Ports of the loopback that nothing uses now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


class Stack:
    """The running project: its two addresses, its containers, and what they answer."""

    def __init__(self, secrets: Path) -> None:
        mlflow_port, prefect_port = free_ports(2)
        self.secrets = secrets
        self.mlflow, self.prefect = f"http://127.0.0.1:{mlflow_port}", f"http://127.0.0.1:{prefect_port}"
        self.first_run = ""
        self.environment = os.environ | {
            "COMPOSE_PROJECT_NAME": f"etude-test-{os.getpid()}",
            "COMPOSE_PROGRESS": "quiet",
            "ETUDE_SECRETS": str(secrets),
            "ETUDE_MLFLOW_PORT": str(mlflow_port),
            "ETUDE_PREFECT_PORT": str(prefect_port),
        }

    def up(self) -> None:
        subprocess.run(["sh", str(ROOT / "docker" / "up.sh")], env=self.environment, check=True)

    def passwords(self) -> Iterable[str]:
        return [file.read_text() for file in self.secrets.iterdir()]

    def _run(self, command: list[str], *, check: bool = True) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            env=self.environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=COMMAND_TIMEOUT_SECONDS,
            check=check,
        )

    def docker(self, *command: str) -> str:
        return self._run(["docker", *command]).stdout

    def compose(self, *command: str) -> str:
        """Both streams of a compose command."""
        done = self._run(["docker", "compose", *command])
        return done.stdout + done.stderr

    def try_inside(self, service: str, *command: str) -> subprocess.CompletedProcess[str]:
        return self._run(["docker", "compose", "exec", "-T", service, *command], check=False)

    def inside(self, service: str, *command: str) -> str:
        """Standard output of a command in the service's container."""
        done = self.try_inside(service, *command)
        done.check_returncode()
        return done.stdout

    def containers(self) -> list[dict[str, Any]]:
        ids = self._run(["docker", "compose", "ps", "--all", "--quiet"]).stdout.split()
        return list(json.loads(self.docker("inspect", *ids)))

    def container(self, service: str) -> dict[str, Any]:
        label = "com.docker.compose.service"
        return next(c for c in self.containers() if c["Config"]["Labels"][label] == service)

    def wait_until(self, what: str, is_so: Callable[[], bool], seconds: float = 180) -> None:
        end = time.monotonic() + seconds
        while not is_so():
            assert time.monotonic() < end, f"after {seconds:.0f} s it does not hold that {what}"
            time.sleep(1)

    def wait_until_healthy(self) -> None:
        self.wait_until(
            "every container is healthy",
            lambda: all(c["State"].get("Health", {}).get("Status") == "healthy" for c in self.containers()),
        )

    def get(self, server: str, path: str) -> bytes:
        with urllib.request.urlopen(server + path, timeout=HTTP_TIMEOUT_SECONDS) as answer:
            return bytes(answer.read())

    def json(self, server: str, path: str) -> dict[str, Any]:
        return dict(json.loads(self.get(server, path)))

    def post(self, server: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(server + path, data=json.dumps(body).encode(), headers=headers)
        with urllib.request.urlopen(request, timeout=HTTP_TIMEOUT_SECONDS) as answer:
            return dict(json.loads(answer.read()))

    def status(self, server: str, path: str, *, host: str) -> int:
        """The status that a request under another name gets."""
        request = urllib.request.Request(server + path, headers={"Host": host})
        try:
            with urllib.request.urlopen(request, timeout=HTTP_TIMEOUT_SECONDS) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
