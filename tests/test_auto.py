"""``network.kind: auto`` decides by rows and columns alone, and only what the experiment leaves open."""

import pytest

from etude.errors import ExperimentError
from etude.experiment import BY_RULE, Experiment, Network, Train
from etude.experiment_file import checked
from etude.networks.auto import choose
from etude.networks.sizes import Sizes

SIZES = Sizes(6, (5,), 2, "classification", embedded=(0, 1))


def experiment(**sections) -> Experiment:
    return checked({"name": "x", "data": {"source": "t.csv", "target": "y"}, **sections})


def test_nothing_is_left_open_and_the_reason_is_said():
    given = experiment()
    assert given.network.kind == "auto"
    choice = choose(given.network, given.train, SIZES, 5_000)
    assert choice.network.kind == "tabm"
    assert "auto" not in {getattr(choice.train, name) for name in BY_RULE}
    assert None not in (choice.network.hidden, choice.network.numbers, choice.network.members)
    assert "5,000 train rows" in choice.why
    assert choice == choose(given.network, given.train, SIZES, 5_000)


def test_what_the_experiment_says_stays():
    given = experiment(
        network={"hidden": ["32", "32"], "dropout": "0.3"},
        train={"epochs": "7", "learning_rate": "1e-4", "batch_size": "33"},
    )
    choice = choose(given.network, given.train, SIZES, 5_000)
    assert (choice.network.hidden, choice.network.dropout) == ((32, 32), 0.3)
    assert (choice.train.epochs, choice.train.learning_rate, choice.train.batch_size) == (7, 1e-4, 33)


def test_a_named_kind_trains_with_the_plain_defaults_and_no_reason():
    given = experiment(network={"kind": "mlp"}, train={"patience": "3"})
    choice = choose(given.network, given.train, SIZES, 5_000)
    assert choice.why == ""
    assert choice.network == given.network
    assert choice.train == Train(patience=3)


def test_the_written_experiment_says_auto_and_reads_itself_back():
    given = experiment()
    assert given.flattened()["train.epochs"] == "auto"
    assert Experiment(**given.resolved()) == given


@pytest.mark.parametrize("value", ["0", "-1", "often"])
def test_a_bad_value_beside_auto_is_still_refused_with_its_code(value):
    with pytest.raises(ExperimentError, match=r"E107 train\.epochs must be"):
        experiment(train={"epochs": value})


def test_more_rows_get_a_cheaper_network():
    found = [choose(Network(), experiment().train, SIZES, 10**power).network for power in (2, 4, 5, 6)]
    assert [(n.kind, n.members) for n in found] == [("tabm", 16), ("tabm", 8), ("tabm", 4), ("mlp", None)]


def test_pixels_get_convolutions_and_wide_text_stays_plain():
    image = Sizes(784, (), 10, "classification", image=(1, 28, 28))
    assert choose(Network(), experiment().train, image, 5_000).network.kind == "cnn"
    wide = Sizes(300, (), 2, "classification")
    assert choose(Network(), experiment().train, wide, 5_000).network.numbers == "plain"


@pytest.mark.parametrize(
    ("rows", "processes", "expected"),
    [(1, 1, 32), (200, 1, 32), (400, 1, 64), (5_000, 1, 128), (60_000, 1, 512), (5_000, 4, 32), (1, 64, 1)],
)
def test_a_batch_size_of_auto_is_a_number_by_the_rows_for_every_kind(rows, processes, expected):
    for kind in ("mlp", "auto"):
        given = experiment(network={"kind": kind}, train={"batch_size": "auto", "processes": str(processes)})
        choice = choose(given.network, given.train, SIZES, rows)
        assert choice.train.batch_size == expected
        assert f"{rows:,} train rows" in choice.why
        assert Experiment(**given.resolved()) == given


def test_a_named_kind_says_its_plain_batch_size_where_nobody_wrote_one():
    given = experiment(network={"kind": "mlp"})
    assert given.flattened()["train.batch_size"] == "64"
    again = Experiment(**given.resolved())
    assert again == given
    assert again.digest() == given.digest()


def test_a_run_that_was_recorded_before_there_were_processes_keeps_its_batch():
    recorded = experiment(network={"kind": "mlp"}).resolved()
    recorded["train"] = {**recorded["train"], "batch_size": "auto"}
    del recorded["train"]["processes"]
    assert Experiment(**recorded).train.batch_size == 64
