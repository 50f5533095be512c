"""What goes live: the paired test, the gate's verdict, and a real registry that does as it says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from packed import mixed, mixed_experiment

from etude.errors import InputError
from etude.evaluation.intervals import Groups
from etude.evaluation.paired import difference, statistic_of
from etude.experiment import Experiment
from etude.gate import Gate
from etude.steps.clean import Cleaned, clean
from etude.steps.collect import collect
from etude.steps.encode import encode
from etude.steps.gate import Champion, gate
from etude.steps.package import Packaged, package
from etude.steps.split import Parts, positions, split
from etude.steps.test import test as open_test_set
from etude.steps.train import train
from etude.steps.validate import validate
from etude.store import Store
from tasks import registry, tracking

EVERY = np.ones((1, 400))


def test_the_difference_is_that_of_the_metrics_and_its_interval_is_narrower_than_unpaired() -> None:
    draw = np.random.Generator(np.random.PCG64(0))
    truth = draw.normal(size=400)
    shared = draw.normal(size=400)
    good, bad = truth + shared, truth + shared + 0.3 * draw.normal(size=400)
    for metric in ("rmse", "mae", "r2"):
        ours, theirs = (statistic_of(metric, truth, answers) for answers in (good, bad))
        found = difference(metric, ours, theirs, 400, seed=1)
        sign = 1 if metric == "r2" else -1
        assert found.value == pytest.approx(sign * (ours(EVERY)[0] - theirs(EVERY)[0]))
        assert found.low is not None
        assert found.high is not None
        assert found.low < found.value < found.high
        assert found.high - found.low < 0.15
        again = difference(metric, theirs, ours, 400, seed=1)
        assert again.value == pytest.approx(-found.value)


def test_equal_models_are_not_told_apart_and_different_ones_are() -> None:
    draw = np.random.Generator(np.random.PCG64(1))
    right = (draw.random(400) < 0.8).astype(float)
    worse = right * (draw.random(400) < 0.9)
    noise = (draw.random(400) < 0.8).astype(float)
    ours = statistic_of("accuracy", right, right)
    assert (
        difference("accuracy", ours, statistic_of("accuracy", right, noise), 400, seed=0).verdict
        == "cannot tell"
    )
    assert (
        difference("accuracy", ours, statistic_of("accuracy", right, worse), 400, seed=0).verdict == "better"
    )
    assert (
        difference("accuracy", statistic_of("accuracy", right, worse), ours, 400, seed=0).verdict == "worse"
    )


def test_rows_of_one_group_count_as_one() -> None:
    draw = np.random.Generator(np.random.PCG64(2))
    codes = np.repeat(np.arange(20), 20)
    ours = (draw.random(20) < 0.8).astype(float)[codes]
    theirs = (draw.random(20) < 0.6).astype(float)[codes]
    pair = [statistic_of("accuracy", ours, answers) for answers in (ours, theirs)]
    alone = difference("accuracy", *pair, 400, seed=0)
    grouped = difference("accuracy", *pair, 400, seed=0, groups=Groups(codes, 20))
    assert grouped.high - grouped.low > 2 * (alone.high - alone.low)


class Trained:
    """A model of some rows, and what a gate wants to know of its run."""

    def __init__(self, folder: Path, store: Store, rows: int, *, seed: int = 0, epochs: int = 15) -> None:
        folder.mkdir(exist_ok=True)
        mixed(rows).to_csv(folder / "mixed.csv", index=False)
        e = self.experiment = mixed_experiment(
            seed=seed,
            split={"test": 0.4},
            train={"epochs": epochs, "learning_rate": 0.01 if epochs > 1 else 1e-5},
        )
        collected = collect(store, e.data, e.split, str(folder)).outputs
        self.cleaned: Cleaned = clean(store, collected, e.data, e.clean).outputs
        self.parts: Parts = split(store, self.cleaned, e.data, e.split, e.seed).outputs
        encodings = encode(store, self.cleaned, self.parts, e.data, e.split, e.seed).outputs
        trained = train(store, encodings, e.network, e.train, e.seed).outputs
        validated = validate(store, encodings, trained, e.network, e.train, e.seed).outputs
        tested = open_test_set(
            store,
            self.cleaned,
            self.parts,
            encodings,
            trained,
            validated,
            e.data,
            e.network,
            e.train,
            e.seed,
            e.split,
        ).outputs
        self.packaged: Packaged = package(
            store, collected, self.cleaned, self.parts, encodings, trained, tested, e.data, e.network, e.train
        ).outputs

    def champion(self) -> Champion:
        return Champion("champion 1", self.packaged.files, self.experiment.data, self.parts.placed)

    def judged(self, store: Store, settings: Gate, champion: Champion | None) -> tuple[str, str, dict]:
        e: Experiment = self.experiment
        found = gate(
            store, self.cleaned, self.parts, e.data, e.split, settings, 0, self.packaged.files, champion
        ).outputs.verdict
        return found.verdict, found.sentence, dict(found.evidence)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Trained, Trained, Trained]:
    folder = tmp_path_factory.mktemp("gate")
    store = Store(folder / "store")
    good, other = (Trained(folder / "t", store, 600, seed=seed) for seed in (0, 1))
    return store, good, other, Trained(folder / "t", store, 600, seed=2, epochs=1)


def test_the_gate_promotes_keeps_and_asks(place: tuple[Store, Trained, Trained, Trained]) -> None:
    store, good, other, poor = place
    assert good.judged(store, Gate(minimum=0.8), None)[0] == "promoted"
    kept, said, _ = good.judged(store, Gate(minimum=0.9999, metric="accuracy"), None)
    assert kept == "kept"
    assert "must be at least 0.9999" in said
    loose, _, evidence = other.judged(store, Gate(not_worse_by=0.2), good.champion())
    assert loose == "promoted"
    assert evidence["rows"] == evidence["difference"]["rows"]
    assert poor.judged(store, Gate(not_worse_by=0.01, rows=20), good.champion())[0] == "kept"
    asked, said, _ = good.judged(store, Gate(not_worse_by=0.001, rows=20), other.champion())
    assert asked == "needs a human"
    assert "on both sides of the 0.001" in said


def test_only_rows_that_the_champion_has_not_learned_from_are_asked(
    place: tuple[Store, Trained, Trained, Trained],
) -> None:
    from etude import snapshot
    from etude.row_hash import row_hashes
    from etude.splitting import moved

    store, good, other, _ = place
    verdict, said, evidence = other.judged(store, Gate(rows=100_000), good.champion())
    assert verdict == "needs a human"
    table = snapshot.from_bytes(store.get(other.cleaned.table)).take(positions(store, other.parts)["test"])
    known, part = moved.from_bytes(store.get(good.parts.placed))
    was_test = set(known[part == 2].tolist())
    hashes = row_hashes(table, table.column_names).tolist()
    assert evidence["rows"] == sum(h in was_test for h in hashes) < len(hashes) == 240
    assert f"has not learned from {evidence['rows']} of today's 240 test rows" in said
    forgotten = Champion("champion 1", good.packaged.files, good.experiment.data, None)
    assert "not known any more" in other.judged(store, Gate(), forgotten)[1]


def test_the_alias_moves_goes_back_and_a_version_is_made_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    client = tracking.client_of(tracking.tracking_uri())
    versions = []
    for _ in range(2):
        run_id = client.create_run("0").info.run_id
        logged = client.create_logged_model("0", name="model", source_run_id=run_id)
        uri = f"models:/{logged.model_id}"
        made = [registry.version_of_run("flowers", run_id, uri, {"verdict.gate": "kept"}) for _ in range(2)]
        assert made[0].version == made[1].version
        versions.append(made[0])
    first, second = versions
    assert registry.champion_of("flowers") is None
    assert registry.champion_of("no such model") is None
    registry.crown(first, None)
    with pytest.raises(InputError, match="E135"):
        registry.crown(second, None)
    registry.crown(second, registry.champion_of("flowers"))
    assert str(client.get_model_version_by_alias("flowers", "champion").version) == second.version
    assert client.get_model_version("flowers", second.version).tags["verdict.gate"] == "kept"
    was, now = registry.roll_back("flowers")
    assert (was.version, now.version) == (second.version, first.version)
    assert registry.champion_of("flowers").version == first.version
    with pytest.raises(InputError, match="there must be an earlier champion"):
        registry.roll_back("flowers")
