"""A virtual environment with the packages that an earlier run had, made by pip and kept for the next time."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from etude import sources
from etude.errors import InputError
from etude.files import write_atomically
from etude.lease import held
from etude.wheel import wheel_name, wheel_of

READY = "ready.json"
LAST_LINES = 3


@dataclass(frozen=True)
class Environment:
    """``python`` runs in it; ``notes`` say what is not as it was recorded."""

    folder: Path
    notes: tuple[str, ...]

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"


def environment_of(identity: Mapping[str, Any], envs: Path, say: Callable[[str], None]) -> Environment:
    """The environment with the recorded packages and today's Etude, under ``envs`` by the digest of what is in it.

    Raises InputError E133 with pip's last words when a recorded version cannot be had.
    """
    packages = dict(identity["packages"])
    interpreter, notes = _interpreter(identity["fingerprint"]["python"])
    wanted = {"python": str(interpreter), "packages": packages}
    name = hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()[:16]
    folder = envs / name
    with held(envs / f"{name}.lock", "one process at a time makes the environment"):
        if not (folder / READY).exists():
            say(f"makes {folder} with {len(packages)} packages, some minutes")
            shutil.rmtree(folder, ignore_errors=True)
            notes += _made(folder, interpreter, packages)
            write_atomically(folder / READY, json.dumps({**wanted, "notes": notes}).encode())
        _install_ourselves(folder)
    return Environment(folder, tuple(json.loads((folder / READY).read_bytes())["notes"]))


def _interpreter(version: str) -> tuple[Path, list[str]]:
    """The recorded Python, of the same minor version at least where there is one."""
    here = ".".join(map(str, sys.version_info[:3]))
    minor = ".".join(version.split(".")[:2])
    base = Path(sys.base_prefix) / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
    ours = base if base.exists() else Path(sys.executable)
    if here == version:
        return ours, []
    if here.startswith(f"{minor}."):
        return ours, [f"the first run had Python {version}, this environment has {here}"]
    other = shutil.which(f"python{minor}")
    if other is None:
        return ours, [f"the first run had Python {version}, which is not here: {here} instead"]
    return Path(other), [f"made by {other}, the first run had Python {version}"]


def _made(folder: Path, interpreter: Path, packages: Mapping[str, str]) -> list[str]:
    """Every package at its version and no other: what the recorded list leaves out is not looked for."""
    _run([str(interpreter), "-m", "venv", str(folder)], "the environment must come into being")
    exact = [f"{name}=={version}" for name, version in packages.items()]
    told = _pip(folder, exact)
    if told is None:
        return []
    # A build tag such as +cpu may not be to be had here, where its plain version is.
    tagged = [f"{name} {version}" for name, version in packages.items() if "+" in version]
    plain = [requirement.partition("+")[0] for requirement in exact]
    if not tagged or _pip(folder, plain) is not None:
        raise InputError(
            "E133",
            "every recorded package must be to be had at its version",
            where=str(folder),
            value=told,
            mend="pip's settings name the index; --env is for the packages that the run had",
        )
    return [f"without its build tag: {', '.join(tagged)}"]


def _install_ourselves(folder: Path) -> None:
    """Today's code, as a wheel: an editable installation would bring its own environment's packages along."""
    content = wheel_of(sources.installed())
    digest = folder / "etude.sha256"
    now = hashlib.sha256(content).hexdigest()
    if digest.exists() and digest.read_text() == now:
        return
    wheel = folder / wheel_name()
    wheel.write_bytes(content)
    told = _pip(folder, ["--force-reinstall", "--no-index", str(wheel)])
    wheel.unlink()
    if told is not None:
        raise InputError("E133", "Etude must install into the environment", where=str(folder), value=told)
    write_atomically(digest, now.encode())


def _pip(folder: Path, arguments: list[str]) -> str | None:
    """None when pip did it, else its last words."""
    command = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-deps", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return None
    return " ".join(done.stderr.strip().splitlines()[-LAST_LINES:])


def _run(command: list[str], what: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        told = " ".join((done.stderr or done.stdout).strip().splitlines()[-LAST_LINES:])
        raise InputError("E133", what, value=told)
