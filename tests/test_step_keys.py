"""A step's key covers what the step uses and nothing else, against what really runs, seen by Python's profiler."""

from __future__ import annotations

import shutil
import sys
import sysconfig
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import Any

import pytest

import etude
import tasks.clean
import tasks.encode
import tasks.register
import tasks.split
import tasks.test
import tasks.validate
from etude.experiment import Experiment, Network
from etude.private import performed
from etude.steps.clean import clean
from etude.steps.collect import collect
from etude.steps.encode import encode
from etude.steps.folds import folds
from etude.steps.package import package
from etude.steps.split import split
from etude.steps.test import test as step_test
from etude.steps.train import chosen, train
from etude.steps.validate import validate
from etude.store import Store
from tasks import perform
from tasks.step_sources import Sources, sources_of, versions

IMPORTING = ("<module>", "_find_and_load")
LIBRARY = Path(etude.__file__).parent
INSTALLED = Path(sysconfig.get_paths()["purelib"])
STEPS = {
    "clean": clean, "split": split, "encode": encode, "train": train, "validate": validate,
    "folds": folds, "test": step_test, "register": package,
}  # fmt: skip
TASKS = (tasks.clean, tasks.split, tasks.encode, tasks.validate, tasks.test, tasks.register)


def sources(name: str, library: Path = LIBRARY) -> Sources:
    step = STEPS[name]
    return sources_of(library, (step.__module__, step.__name__), (performed.__module__, performed.__name__))


@cache
def ours(name: str) -> Sources:
    return sources(name)


@dataclass
class Executed:
    """Modules of the library, and distributions, of which a function ran (what an import runs does not count)."""

    modules: set[str] = field(default_factory=set)
    files: set[str] = field(default_factory=set)


@contextmanager
def watched(into: Executed) -> Iterator[None]:
    importing: dict[int, int] = {}

    def hear(frame: FrameType, event: str, _: Any) -> None:
        if event not in ("call", "return"):
            return
        code, thread = frame.f_code, threading.get_ident()
        if code.co_name in IMPORTING:
            importing[thread] = importing.get(thread, 0) + (1 if event == "call" else -1)
        elif event == "call" and not importing.get(thread):
            into.files.add(code.co_filename)

    threading.setprofile(hear)
    sys.setprofile(hear)
    try:
        yield
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
        for name in into.files:
            path = Path(name)
            if path.is_relative_to(LIBRARY):
                into.modules.add("etude." + ".".join(path.relative_to(LIBRARY).with_suffix("").parts))


def run_steps(place: Path, experiment: Experiment, seen: dict[str, Executed]) -> None:
    """All steps as the tasks call them, each under the profiler."""
    store, e = Store(place / "store"), experiment
    data, dealing = e.data.of_table(), e.split.without_folds()

    def step(name: str, function: Callable[..., Any], *inputs: Any) -> Any:
        with watched(seen.setdefault(name, Executed())):
            return performed(function, store, *inputs, private=e.data.private).outputs

    collected = step("collect", collect, e.data, e.split, str(place))
    cleaned = step("clean", clean, collected, data, e.clean)
    parts = step("split", split, cleaned, data, dealing, e.seed)
    encodings = step("encode", encode, cleaned, parts, data, dealing, e.seed)
    trained = step("train", train, encodings, e.network, e.train, e.seed)
    validated = step("validate", validate, encodings, trained, e.network, e.train, e.seed)
    if e.split.folds:
        network = chosen(encodings, e.network, e.train).network
        step("folds", folds, cleaned, parts, data, e.split, network, trained.settings, e.seed)
    tested = step(
        "test", step_test, cleaned, parts, encodings, trained, validated, data, e.network, e.train, e.seed,
        dealing,
    )  # fmt: skip
    step("register", package, collected, cleaned, parts, encodings, trained, tested, data, e.network, e.train)


EXPERIMENTS: dict[str, dict[str, Any]] = {
    "auto with folds": {"split": {"folds": 2}},
    "private, numbers, a text": {
        "data": {"target": "width", "private": True, "columns": {"colour": "text"}},
        "network": {"kind": "resnet", "hidden": [8]},
        "train": {"loss": "quantile", "schedule": "one_cycle", "clip_norm": 1.0, "average": 0.9},
    },
    "a transformer over time": {
        "split": {"by": "time", "column": "picked", "gap": "1d"},
        "network": {"kind": "ft_transformer", "hidden": [8]},
        "train": {"optimizer": "RAdam", "schedule": "plateau", "loss": "focal"},
    },
}


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Executed]:
    import numpy as np

    seen: dict[str, Executed] = {}
    draw = np.random.Generator(np.random.PCG64(7))
    for number, own in enumerate(EXPERIMENTS.values()):
        place = tmp_path_factory.mktemp(f"run{number}")
        lines = ["length,width,colour,picked,species"]
        for i in range(120):
            kind, day = i % 3, f"2024-{1 + i % 12:02d}-{1 + i % 28:02d}"
            length = f"{5 + 2 * kind + draw.normal(0, 0.4):.2f}" if i % 17 else ""
            colour = ("red", "deep blue", "white")[int(draw.integers(3))]
            lines.append(f"{length},{draw.normal():.2f},{colour},{day},{('iris', 'lily', 'rose')[kind]}")
        (place / "flowers.csv").write_text("\n".join(lines) + "\n")
        keys = {"name": "keys", **own}
        keys["data"] = {"source": "flowers.csv", "target": "species", **own.get("data", {})}
        keys["train"] = {"epochs": 2, "batch_size": 16, **own.get("train", {})}
        run_steps(place, Experiment.model_validate(keys), seen)
    return seen


@pytest.mark.parametrize("name", STEPS)
def test_every_module_whose_functions_run_in_a_step_is_in_its_key(
    executed: dict[str, Executed], name: str
) -> None:
    assert len(executed[name].modules) > 10
    assert executed[name].modules - set(ours(name).modules) == set()


BESIDE = {"hypothesis", "importlib-metadata", "zipp"}
"""Import hooks of the test runner and of MLflow, which happen to run while a step imports."""


@pytest.mark.parametrize("name", STEPS)
def test_every_distribution_whose_functions_run_in_a_step_is_in_its_key(
    executed: dict[str, Executed], name: str
) -> None:
    of = packages_distributions()
    top = {
        Path(file).relative_to(INSTALLED).parts[0].removesuffix(".py")
        for file in executed[name].files
        if Path(file).is_relative_to(INSTALLED)
    }
    ran = {of[package][0].lower().replace("_", "-") for package in top if package in of} - {"etude", *BESIDE}
    assert ran - set(versions(ours(name).packages)) == set()
    assert "numpy" in ran


def test_a_key_holds_little_that_no_run_executes(executed: dict[str, Executed]) -> None:
    """The rest are branches that these few runs do not take, and classes whose methods they do not call."""
    held = sum(len(ours(name).modules) for name in STEPS)
    ran = sum(len(executed[name].modules) for name in STEPS)
    assert held < 1.5 * ran


LEARNING = {"train", "validate", "folds", "test", "register"}
EXACTLY = {
    "etude.seeds": set(STEPS) - {"clean"},
    "etude.row_hash": {"clean", "split", "encode", "folds", "test"},
    "etude.report.data_report": {"clean"},
    "etude.splitting.moved": {"split"},
    "etude.leaks.nearest": {"encode"},
    "etude.encoding.numbers": LEARNING | {"encode"},
    "etude.networks.tabular": LEARNING,
    "etude.training.stopping": {"train", "folds"},
    "etude.evaluation.doctor": {"train", "folds"},
    "etude.evaluation.baseline": {"test"},
    "etude.columns.parsing": {"register"},
    "etude.reading.csv_strict": set(),
    "etude.draft": set(),
    "etude.identity": {"train", "folds"},  # processes that share a training compare what they are
    "etude.training.rate_finder": set(),
}


def test_editing_a_module_changes_the_keys_of_the_steps_that_use_it_and_of_no_other(tmp_path: Path) -> None:
    library = tmp_path / "etude"
    shutil.copytree(LIBRARY, library, ignore=shutil.ignore_patterns("__pycache__"))
    before = {name: sources(name, library).digest() for name in STEPS}
    assert before == {name: ours(name).digest() for name in STEPS}, "where the library stands has no part"
    for module, steps in EXACTLY.items():
        path = library.joinpath(*module.split(".")[1:]).with_suffix(".py")
        content = path.read_bytes()
        path.write_bytes(content + b"# edited\n")
        assert {name for name in STEPS if sources(name, library).digest() != before[name]} == steps, module
        path.write_bytes(content)
    page = library / "report" / "templates" / "data_report.html"
    page.write_bytes(page.read_bytes() + b"<!-- edited -->")
    assert [name for name in STEPS if sources(name, library).digest() != before[name]] == ["clean"]


def test_a_helper_that_is_new_to_a_step_comes_into_its_key(tmp_path: Path) -> None:
    """Imported where it is used, under another name, through a module that passes it on, in a class, by a default."""
    library = tmp_path / "etude"
    library.mkdir()
    (library / "__init__.py").write_text("")
    written = {
        "start": "def step():\n    from etude import middle as m\n    return m.passed()\n",
        "middle": "from etude.end import Kind, inner as passed\nfrom etude import idle\n",
        "end": "from etude import idle, last\nclass Kind:\n    x: idle.X\ndef inner(y: Kind = last.Z):\n    return 1\n",
        "last": "import yaml\nif True:\n    Z = yaml.load\n",
        "idle": "X = 1\n",
    }
    for name, source in written.items():
        (library / f"{name}.py").write_text(source)
    found = sources_of(library, ("etude.start", "step"))
    assert sorted(found.modules) == ["etude.end", "etude.last", "etude.middle", "etude.start"]
    assert found.packages == {"pyyaml"}
    assert "etude.idle" in sources_of(library, ("etude.end", "Kind")).modules, "a field of a class"
    assert "etude.idle" in sources_of(library, ("etude.end", "inner")).modules, "the type of an input"


def test_nothing_in_the_library_is_imported_by_a_name_that_is_made_up_at_run_time() -> None:
    """Such a module would be in no key; the user's own network has a digest of its own."""
    makers = {
        path.relative_to(LIBRARY).as_posix()
        for path in LIBRARY.rglob("*.py")
        if "import_module" in path.read_text() or "__import__" in path.read_text()
    }
    assert makers == {"networks/custom.py", "networks/packed_source.py"}


EXPERIMENT = Experiment.model_validate(
    {"name": "keys", "data": {"source": "a.csv", "target": "y"}, "split": {"folds": 3}}
)


def keys_of(experiment: Experiment) -> dict[str, str]:
    """The parts of the experiment that each task hands to its step, as the tasks hand them over."""
    handed: dict[str, tuple[Any, ...]] = {}

    def note(run: Any, name: str, step: Callable[..., Any], *inputs: Any, **_: Any) -> Any:
        handed[name] = tuple(value for value in inputs if not isinstance(value, Nothing))
        return Nothing()

    run = SimpleNamespace(experiment=experiment, store=Nothing())
    with pytest.MonkeyPatch.context() as patch:
        for module in TASKS:
            patch.setattr(module, "perform", note)
        for name in ("earlier_split", "remember_split"):
            patch.setattr(tasks.split, name, lambda *_: None)
        patch.setattr(tasks.test, "count_look", lambda *_: None)
        patch.setattr(tasks.validate, "chosen", lambda encodings, network, training: Choice(network))
        patch.setattr(tasks.register.recording, "record_model", lambda *_: "")
        tasks.clean.clean_table.fn(run, Nothing())
        tasks.split.split_rows.fn(run, Nothing())
        tasks.encode.encode_columns.fn(run, Nothing(), Nothing())
        tasks.validate.validate_network.fn(run, Nothing(), Nothing(), Nothing(), Nothing())
        tasks.test.open_test_set.fn(run, *[Nothing()] * 5)
        tasks.register.register_model.fn(run, *[Nothing()] * 6)
    handed["train"] = (experiment.network, experiment.train, experiment.seed)
    private = experiment.data.private
    return {name: perform.step_key(STEPS[name], inputs, private=private) for name, inputs in handed.items()}


class Nothing:
    """Stands for what an earlier step gave."""

    table = placed = settings = digest = None


@dataclass
class Choice:
    network: Network


CHANGES: dict[str, tuple[dict[str, Any], set[str]]] = {
    "name": ({"name": "other"}, set()),
    "source": ({"data": {"source": "b.csv", "delimiter": ";", "sha256": "0"}}, set()),
    "test table": ({"data": {"test": "t.csv", "expect": "s.yaml"}}, set()),
    "folds": ({"split": {"folds": 4}}, {"folds"}),
    "shares": ({"split": {"test": 0.3}}, {"split", "encode", "folds", "test"}),
    "evaluation": ({"evaluate": {"coverage": 0.8}}, {"validate"}),
    "rules": ({"clean": {"duplicates": "drop"}}, {"clean"}),
    "training": ({"train": {"epochs": 3}}, {"train", "validate", "test", "register"}),
    "network": ({"network": {"kind": "linear"}}, LEARNING),
    "seed": ({"seed": 1}, {"split", "encode", "train", "validate", "folds", "test"}),
    "private": ({"data": {"private": True}}, set(STEPS)),
    "dropped": ({"data": {"drop": ["x"]}}, {"clean", "split", "encode", "folds", "test", "register"}),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_the_experiment_changes_the_keys_of_the_steps_that_it_concerns(change: str) -> None:
    """With equal outputs of the earlier steps: a step whose inputs changed has another key anyway."""
    plain = EXPERIMENT.resolved()
    other = {
        key: {**plain[key], **value} if isinstance(value, dict) else value
        for key, value in CHANGES[change][0].items()
    }
    before, after = keys_of(EXPERIMENT), keys_of(Experiment.model_validate({**plain, **other}))
    assert set(before) == set(STEPS)
    assert {name for name in STEPS if before[name] != after[name]} == CHANGES[change][1]


def test_a_version_below_a_step_changes_its_key_and_not_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    before = keys_of(EXPERIMENT)
    really = perform.versions
    for name, steps in {
        "jinja2": {"clean", *LEARNING},  # torch needs it, too
        "contourpy": {"clean", "train", "validate", "folds", "test"},
        "scikit-learn": {"encode", "folds", "test"},
        "tabm": LEARNING,
        "pyarrow": set(STEPS),
    }.items():

        def other(packages: frozenset[str], changed: str = name) -> dict[str, str]:
            return {p: "0" if p == changed else v for p, v in really(packages).items()}

        monkeypatch.setattr(perform, "versions", other)
        after = keys_of(EXPERIMENT)
        assert {step for step in STEPS if before[step] != after[step]} == steps
