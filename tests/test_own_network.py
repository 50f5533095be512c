"""A user's own nn.Module: built, checked, and part of the identity of what was trained with it."""

import re
import textwrap

import pytest
import torch

from etude.errors import ExperimentError
from etude.experiment import Network
from etude.networks.build import build
from etude.networks.dropout import Dropout
from etude.networks.own_source import source_digest
from etude.networks.sizes import Sizes
from etude.training import weights

SIZES = Sizes(4, (3,), 2, "classification")
GOOD = """
from torch import nn

class Wide(nn.Module):
    def __init__(self, sizes, settings):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(sizes.numbers, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5))
        self.head = nn.Linear(8, sizes.outputs)

    def forward(self, numbers, categories):
        return self.head(self.body(numbers))

def build(sizes, settings):
    return Wide(sizes, settings)
"""


def FORWARD(numbers: str) -> str:  # noqa: N802 - a source like GOOD
    return "import numpy as np\nimport torch\n" + GOOD.replace("self.body(numbers)", f"self.body({numbers})")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(here, name: str, source: str) -> str:
    path = here.joinpath(*name.split(".")).with_suffix(".py")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(source))
    return f"{name}:build"


def test_it_is_built_from_the_current_folder_with_our_dropout_and_named_draws(here):
    kind = written(here, "own_networks_a.wide", GOOD)
    before = torch.get_rng_state()
    first = build(Network(kind=kind), SIZES, seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    assert isinstance(first.body[3], Dropout)
    again, other = (build(Network(kind=kind), SIZES, seed=seed) for seed in (1, 2))
    assert weights.digest(first.state_dict()) == weights.digest(again.state_dict())
    assert weights.digest(first.state_dict()) != weights.digest(other.state_dict())
    assert first.body[1].running_mean.eq(0).all(), "the trial rows left nothing behind"


def test_a_change_in_its_package_changes_the_digest(here):
    kind = written(here, "own_networks_b.wide", GOOD)
    written(here, "own_networks_b.helper", "SIZE = 1")
    before = source_digest(kind)
    assert before == source_digest(kind)
    written(here, "own_networks_b.helper", "SIZE = 2")
    assert source_digest(kind) != before
    assert source_digest("mlp") == ""


def test_a_changed_module_gives_the_step_another_key(here):
    from etude.steps.train import train
    from tasks.perform import step_key

    kind = written(here, "own_networks_c", GOOD)
    before = step_key(train, (Network(kind=kind),))
    assert before == step_key(train, (Network(kind=kind),))
    written(here, "own_networks_c", GOOD.replace("0.5", "0.4"))
    assert step_key(train, (Network(kind=kind),)) != before


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (GOOD.replace("def build(", "def make("), "the module own_x must have a function, network.kind"),
        (
            GOOD.replace("nn.Linear(8, sizes.outputs)", "nn.Linear(8, 5)"),
            "must return float32[rows, 2], for 3 rows",
        ),
        (GOOD.replace("nn.Linear(sizes.numbers, 8)", "nn.Linear(7, 8)"), "must answer"),
        (GOOD.replace("return Wide(sizes, settings)", "return 5"), "must return a torch.nn.Module"),
        (GOOD.replace("return Wide(sizes, settings)", "return nothing"), "NameError"),
        ("import a_package_that_is_not_there", "must import"),
        (
            GOOD.replace(
                "self.head(self.body(numbers))", "nn.functional.dropout(self.head(self.body(numbers)))"
            ),
            "draws from the global generator",
        ),
        (FORWARD("numbers + torch.randn_like(numbers)"), "draws from the global generator of torch"),
        (FORWARD("numbers * np.random.rand()"), "draws from the global generator of numpy"),
        (
            FORWARD("nn.functional.scaled_dot_product_attention(numbers, numbers, numbers, dropout_p=0.5)"),
            "attention and LSTM take dropout=0",
        ),
        (
            "import torch\n" + GOOD.replace("return Wide", "torch.rand_like(torch.ones(2)); return Wide"),
            "of torch",
        ),
        (FORWARD("numbers.mul_(2)"), "must leave its arguments alone"),
        (FORWARD("numbers - numbers.mean(0)"), "must not depend on the other rows"),
        (GOOD.replace("BatchNorm1d(8)", "BatchNorm1d(8, track_running_stats=False)"), "the other rows"),
        (GOOD.replace("nn.Linear(sizes.numbers, 8)", "nn.LazyLinear(8)"), "lazy modules"),
        (
            GOOD.replace(
                "return Wide(sizes, settings)", "return Wide(sizes, settings).requires_grad_(False)"
            ),
            "must have a parameter that requires a gradient",
        ),
        (GOOD.replace("return Wide(sizes, settings)", "raise SystemExit(3)"), "SystemExit"),
    ],
)
def test_a_network_that_does_not_fit_is_refused_in_one_line(here, monkeypatch, source, says):
    import sys

    monkeypatch.delitem(sys.modules, "own_x", raising=False)
    kind = written(here, "own_x", source)
    with pytest.raises(ExperimentError, match=re.escape(says)) as caught:
        build(Network(kind=kind), SIZES, seed=0)
    assert caught.value.code == "E109"
    assert "\n" not in str(caught.value)


def test_a_module_that_is_missing_is_named():
    with pytest.raises(ExperimentError, match="must be found in the current folder or installed"):
        source_digest("no_such_package_at_all.module:build")


@pytest.mark.parametrize("kind", ["mpl", "a.b", "a:b:c", "os/path:x", ":build"])
def test_a_kind_that_is_neither_ours_nor_a_function_is_refused(kind):
    with pytest.raises(ValueError, match=r"network\.kind must be one of"):
        Network(kind=kind)


def test_a_network_that_fails_on_a_later_batch_is_refused_in_one_line_and_is_no_fault_of_ours(
    here, monkeypatch
):
    import pandas as pd

    from etude.experiment import Experiment
    from etude.steps.whole import run_steps
    from etude.store import Store

    kind = written(
        here, "own_late", GOOD.replace("return self.head", "assert len(numbers) < 20; return self.head")
    )
    frame = pd.DataFrame({"x": [float(i % 17) for i in range(120)], "y": ["a", "b"] * 60})
    experiment = Experiment.model_validate(
        {"name": "e", "data": {"source": "t.csv", "target": "y"}, "network": {"kind": kind}}
    )
    with pytest.raises(ExperimentError, match="E109 the network must train on every batch") as caught:
        run_steps(Store(here / "store"), experiment, str(here), given=frame)
    assert "AssertionError" in str(caught.value)


def test_a_network_whose_answers_are_not_finite_is_built_for_the_training_says_so(here):
    kind = written(
        here,
        "own_nan",
        GOOD.replace("return self.head", "numbers = numbers / 0 * 0\n        return self.head"),
    )
    network = build(Network(kind=kind), SIZES, seed=0).eval()
    assert network(torch.ones(2, 4), torch.zeros(2, 1, dtype=torch.int64)).isnan().all()
