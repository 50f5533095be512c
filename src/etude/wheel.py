"""Our own wheel, made from the sources that run: no network, no build tool, the same bytes for the same sources."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from importlib.metadata import distribution

from etude.identity import own_requirements
from etude.zips import zipped

TYPED = ("etude/py.typed", "tasks/py.typed", "flows/py.typed")
KIND = b"Wheel-Version: 1.0\nGenerator: etude\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def wheel_name() -> str:
    """The file's name, by which pip knows it."""
    return f"etude-{distribution('etude').version}-py3-none-any.whl"


def wheel_of(sources: Mapping[str, bytes]) -> bytes:
    """A wheel that pip installs (PEP 427), with the metadata of the installed distribution.

    ``sources`` are named as by ``etude.sources``; those of a user's own network have no part in it.
    """
    us = distribution("etude")
    files = {name.removeprefix("src/"): content for name, content in sources.items() if is_ours(name)}
    files |= dict.fromkeys(TYPED, b"")
    info = f"etude-{us.version}.dist-info"
    files |= {
        f"{info}/METADATA": _metadata(us.read_text("METADATA") or "").encode(),
        f"{info}/entry_points.txt": (us.read_text("entry_points.txt") or "").encode(),
        f"{info}/WHEEL": KIND,
    }
    record = "".join(f"{name},{_hash(content)},{len(content)}\n" for name, content in sorted(files.items()))
    return zipped({**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n".encode()})


def sources_in(members: Mapping[str, bytes]) -> dict[str, bytes]:
    """The sources of an unzipped wheel, named as by ``etude.sources``."""
    named = {f"src/{name}" if name.startswith("etude/") else name: c for name, c in members.items()}
    return {
        name: content for name, content in named.items() if is_ours(name) and name.endswith((".py", ".html"))
    }


def is_ours(name: str) -> bool:
    """A file of etude, tasks or flows."""
    return name.startswith(("src/etude/", "tasks/", "flows/"))


def _metadata(recorded: str) -> str:
    """With what the checkout needs today, where we run from one."""
    needed = own_requirements()
    if needed is None:
        return recorded
    head, _, description = recorded.partition("\n\n")
    kept = [line for line in head.splitlines() if not line.startswith("Requires-Dist:") or "extra ==" in line]
    return "\n".join([*kept, *(f"Requires-Dist: {need}" for need in needed), "", description])


def _hash(content: bytes) -> str:
    head = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=")
    return f"sha256={head.decode()}"
