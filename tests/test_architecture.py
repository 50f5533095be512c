"""The house rules, each as a check."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LIBRARY = sorted(
    ".".join(path.relative_to(ROOT / "src").with_suffix("").parts).removesuffix(".__init__")
    for path in (ROOT / "src" / "etude").rglob("*.py")
)
LOADED = """
import sys, importlib
for name in sys.argv[1:]:
    importlib.import_module(name)
    found = {"prefect", "mlflow"} & set(sys.modules)
    assert not found, f"{name} loads {found}"
"""


def test_no_module_of_the_library_loads_prefect_or_mlflow() -> None:
    assert len(LIBRARY) > 30
    subprocess.run([sys.executable, "-c", LOADED, *LIBRARY], check=True, timeout=120)


def test_the_check_above_can_fail() -> None:
    told = subprocess.run(
        [sys.executable, "-c", LOADED, "mlflow"], capture_output=True, text=True, timeout=120
    )
    assert told.returncode == 1
    assert "mlflow loads" in told.stderr


def test_the_layers_hold() -> None:
    told = subprocess.run(
        [Path(sys.executable).with_name("lint-imports")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert told.returncode == 0, told.stdout


@pytest.mark.parametrize("path", sorted((ROOT / "flows").glob("*.py")), ids=lambda path: path.name)
def test_no_flow_file_is_named_like_a_package_or_defines_a_class_with_a_flow(path: Path) -> None:
    tree = ast.parse(path.read_text())
    has_flow = any(
        isinstance(node, ast.FunctionDef)
        and any("embedded_flow" in ast.unparse(d) for d in node.decorator_list)
        for node in tree.body
    )
    assert not (has_flow and any(isinstance(node, ast.ClassDef) for node in tree.body))
    assert path.stem not in {"prefect", "mlflow", "torch", "etude", "tasks"}


@pytest.mark.parametrize("name", ["etude", "tasks", "flows"])
def test_modules_stay_small_enough_to_read(name: str) -> None:
    folder = ROOT / ("src/etude" if name == "etude" else name)
    long = {
        path.name: lines
        for path in folder.rglob("*.py")
        if (lines := len(path.read_text().splitlines())) > 400
    }
    assert not long
