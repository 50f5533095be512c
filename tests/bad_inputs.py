"""How the tests of the bad inputs go in: a file and its experiment through `etude check`, in this process."""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from etude.report import data_overview
from flows import cli

ROWS = 60


@dataclass(frozen=True)
class Told:
    """What a user sees of a command: the exit code, the refusal's line, the JSON at the end, all else on the screen."""

    exit_code: int
    line: str
    answer: dict[str, Any]
    screen: str = ""

    @property
    def kinds(self) -> dict[str, str]:
        return {column["name"]: column["kind"] for column in self.answer["columns"]}

    @property
    def snapshot(self) -> str:
        return self.answer["digests"]["snapshot"]

    @property
    def warnings(self) -> str:
        return "\n".join(self.answer["warnings"])


def etude(*arguments: str) -> Told:
    """The command without its picture of the data, which takes longer than all the rest and shows nothing of this."""
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(data_overview, "data_overview", lambda report: b"")
        code = cli._guarded(lambda: cli.etude(arguments, standalone_mode=False), debug=False)
    told = out.getvalue().splitlines()
    if code:
        return Told(code, err.getvalue().removesuffix("\n"), {}, out.getvalue())
    if "--json" in arguments:
        return Told(code, "", json.loads(told[-1]), err.getvalue())
    return Told(code, "", {}, out.getvalue())


def experiment(folder: Path, source: str = "table.csv", target: str = "y", **keys: Any) -> Path:
    """The smallest experiment file over ``source``; ``keys`` go to its section ``data``, ``clean`` and ``split``
    to their own."""
    sections = {name: keys.pop(name) for name in ("clean", "split") if name in keys}
    written = {"name": "bad", "data": {"source": source, "target": target, **keys}, **sections}
    path = folder / "e.yaml"
    path.write_text(json.dumps(written, ensure_ascii=False))
    return path


def check(folder: Path, content: bytes | str, name: str = "table.csv", **keys: Any) -> Told:
    """`etude check` on a table of that content."""
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return etude("check", str(experiment(folder, name, **keys)), "--json")


def refused(told: Told, code: str, where: str = "", mend: str = "") -> str:
    """The line, after it was seen to be a refusal as the catalogue wants it."""
    assert told.exit_code == 2, (told.exit_code, told.line, told.warnings if told.answer else "")
    assert told.line.startswith(f"{code} "), told.line
    assert len(told.line.splitlines()) == 1
    assert "Traceback" not in told.line
    assert where in told.line, told.line
    assert "; " in told.line, f"no mend: {told.line}"
    assert mend in told.line, told.line
    return told.line


YES = "0010111011000101011100100011011010100111010001101001011100101101"


def table(rows: int = ROWS, **cells: list[str]) -> str:
    """CSV with a number ``x``, a category ``c``, a target ``y``, and ``cells`` in columns of their own, repeated."""
    lines = [["x", "c", *cells, "y"]]
    for i in range(rows):
        colour = ["red", "green", "blue"][i * 7 % 3]
        own = (values[i % len(values)] for values in cells.values())
        lines.append([f"{(i * 37 % 101) / 10}", colour, *own, ["no", "yes"][int(YES[i % len(YES)])]])
    return "".join(",".join(line) + "\n" for line in lines)
