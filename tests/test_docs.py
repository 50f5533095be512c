"""The documents say what is so."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from etude.experiment_file import checked

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
SOURCES = [path for folder in ("src", "tasks", "flows") for path in (ROOT / folder).rglob("*.py")]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def test_every_error_code_is_documented() -> None:
    raised = {code for path in SOURCES for code in re.findall(r'"(E\d{3})"', path.read_text())}
    documented = set(re.findall(r"E\d{3}", (ROOT / "docs" / "errors.md").read_text()))
    assert len(raised) > 40
    assert raised <= documented


def test_the_readme_shows_the_example_as_it_is() -> None:
    shown, _ = blocks("yaml")
    example = (ROOT / "examples" / "penguins.yaml").read_text()
    assert "\n".join(line for line in example.splitlines() if not line.startswith("#")) == shown.rstrip("\n")


def test_every_experiment_of_the_readme_is_one() -> None:
    for block in blocks("yaml"):
        assert checked(yaml.safe_load(block)).data.target in ("Species", "outcome")


def test_the_python_of_the_readme_runs(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    script = tmp_path / "readme.py"
    script.write_text("\n".join(blocks("python")))
    told = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, timeout=240)
    assert told.returncode == 0, told.stderr
    assert "Adelie Penguin" in told.stdout


def test_the_commands_of_the_readme_run(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    (tmp_path / "table.csv").write_text(
        "size,price\n" + "".join(f"{i * 37 % 60},{i * 37 % 60 * 3 + i % 7}.5\n" for i in range(60))
    )
    commands = [line.split("#")[0].split() for block in blocks("sh") for line in block.splitlines()]
    ours = [command[1:] for command in commands if command[:1] == ["etude"]]
    assert [command[0] for command in ours] == [
        *("init", "check", "find-lr", "run", "rerun", "proof", "verify", "sync", "schedule"),
        *("predict", "predict", "promote"),
    ]
    etude = str(Path(sys.executable).with_name("etude"))
    for command in ours[:4]:
        told = subprocess.run([etude, *command], cwd=tmp_path, capture_output=True, text=True, timeout=240)
        assert told.returncode == 0, told.stderr


def test_links_and_pictures_of_the_documents_exist() -> None:
    for document in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
            if "://" not in target:
                assert (document.parent / target).exists(), f"{document.name}: {target}"


@pytest.mark.parametrize("line", re.findall(r"^  (\w+\.py)", README, re.MULTILINE))
def test_the_tree_of_the_readme_is_there(line: str) -> None:
    assert any(path.name == line for path in SOURCES)
