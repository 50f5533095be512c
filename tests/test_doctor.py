"""The doctor names what was planted, with evidence and a remedy, and finds nothing in a healthy training."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from etude.evaluation.doctor import diagnose
from etude.evaluation.overfitting import Watch, judge
from etude.experiment import Network
from etude.networks.build import build
from etude.networks.sizes import Sizes
from etude.training import fitting
from etude.training.fitting import Part
from etude.training.vitals import Start, Vitals, vitals
from etude.verdicts import Verdict
from tests.test_training import bits, built, fitted, table


def found(fit, learning_rate: float = 0.01, columns=()) -> dict[str, str]:
    verdict = diagnose(
        fit.history, fit.vitals, stopped=fit.stopped, learning_rate=learning_rate, columns=columns
    )
    assert (verdict.verdict == "healthy") == (not verdict.evidence["findings"])
    return {f["ailment"]: f["evidence"] for f in verdict.evidence["findings"]}


def changed(change) -> nn.Module:
    network = built(dropout=0)
    with torch.no_grad():
        change(network)
    return network


def linears(network: nn.Module) -> list[nn.Linear]:
    return [m for m in network.modules() if isinstance(m, nn.Linear)]


def test_a_healthy_training_has_no_finding():
    fit = fitted(epochs=10, learning_rate=0.01)
    assert found(fit) == {}
    verdict = diagnose(fit.history, fit.vitals, stopped="epochs", learning_rate=0.01)
    assert verdict.sentence.startswith("Healthy: at most ")


def test_units_that_never_fire_are_dead():
    told = found(fitted(changed(lambda n: linears(n)[0].bias.fill_(-60)), epochs=3))
    assert told["dead units"].startswith("100 % of the units of blocks.1 say the same")


def test_the_dead_share_counts_units_over_all_rows():
    network = changed(lambda n: linears(n)[0].bias[:8].fill_(-60))
    from etude.training.objective import Objective

    train = table(100)
    start = Start.of(network, train, Objective("classification", 2))
    measured = vitals(network, train, start)
    assert measured.dead["blocks.1"] == pytest.approx(8 / 32, abs=0.07)
    assert measured.moved == 0
    assert measured.start_loss == start.loss
    assert len(start.gradients) == 3


def test_an_input_that_is_left_out_is_named():
    class Blind(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = built(dropout=0)

        def forward(self, numbers: torch.Tensor, categories: torch.Tensor) -> torch.Tensor:
            return self.network(torch.cat([numbers[:, :2], 0 * numbers[:, 2:]], 1), 0 * categories)

    names = ("a", "b", "width", "height", "d", "e", "colour")
    told = found(fitted(Blind(), learning_rate=0.01), columns=names)
    assert told["unused input"] == "5 of 7 encoded columns change no output: width, height, d, e, colour"


def test_a_constant_column_is_not_called_unused():
    train = table(300)
    train.numbers[:, 3] = 1.0
    assert "unused input" not in found(fitted(train=train))


def test_an_output_that_never_changes_is_found():
    told = found(fitted(changed(lambda n: linears(n)[-1].weight.zero_()), learning_rate=1e-9, epochs=1), 1e-9)
    assert told["constant output"].startswith("outputs vary by ")


def test_a_rate_that_is_too_high_or_too_low_is_named_with_the_next_to_try():
    low = fitted(learning_rate=1e-7, epochs=5)
    verdict = diagnose(low.history, low.vitals, stopped=low.stopped, learning_rate=1e-7)
    assert [f["ailment"] for f in verdict.evidence["findings"]] == ["learning rate too low"]
    assert verdict.sentence.endswith("try 1e-06.")
    high = fitted(learning_rate=3.0, epochs=5)
    assert {"learning rate too high", "exploding gradients"} & set(found(high, 3.0))


def test_gradients_that_vanish_over_the_layers_are_found_before_the_first_step():
    class Deep(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            draw = torch.Generator().manual_seed(0)
            self.layers = nn.Sequential(
                nn.Linear(6, 16), *[m for _ in range(9) for m in (nn.Sigmoid(), nn.Linear(16, 16))]
            )
            self.head = nn.Linear(16, 2)
            with torch.no_grad():
                for parameter in self.parameters():
                    parameter.uniform_(-0.2, 0.2, generator=draw)

        def forward(self, numbers: torch.Tensor, categories: torch.Tensor) -> torch.Tensor:
            return self.head(self.layers(numbers))

    assert "vanishing gradients" in found(fitted(Deep()))


def test_spikes_are_counted_where_the_loss_leaps_above_its_start():
    train = table(640, classes=False)
    train.target[100] = 60.0
    fit = fitted(train=train, task="regression", epochs=6, batch_size=16, learning_rate=1e-4)
    assert sum(e.loss_spikes for e in fit.history) >= 3
    assert "loss spikes" in found(fit)
    assert not any(e.loss_spikes for e in fitted(epochs=6, batch_size=16).history)


def test_a_few_rows_at_the_end_of_an_epoch_are_no_spike():
    train = table(642, classes=False)  # two batches of 320 and one of 2
    train.target[:] = 0.1 * train.target + 20 * (torch.arange(642) % 97 == 0)
    fit = fitted(train=train, task="regression", epochs=12, batch_size=320, learning_rate=1e-4)
    assert not any(e.loss_spikes for e in fit.history)


def test_gradients_that_are_huge_in_every_layer_alike_from_the_start_explode():
    network = built(hidden=(32, 32, 32, 32))
    with torch.no_grad():
        for layer in network.blocks:
            if isinstance(layer, nn.Linear):
                layer.weight.mul_(15)
    fit = fitted(network, epochs=3)
    assert fit.history[0].gradient_norm > 1e3
    assert "exploding gradients" in found(fit)


def test_looking_moves_no_bit_and_draws_nothing(monkeypatch):
    expected = bits(fitted(built(dropout=0.5)))
    monkeypatch.setattr(fitting, "vitals", lambda network, train, start: None)
    monkeypatch.setattr(fitting.Start, "of", classmethod(lambda cls, *arguments: None))
    assert bits(fitted(built(dropout=0.5))) == expected


def test_overfitting_is_said_once_while_it_happens():
    said: list[str] = []
    validation = table(300, seed=1)
    watch = Watch(len(validation), said.append)
    train = table(60)
    noisy = Part(train.numbers, train.categories, train.target.flip(0))
    heard: list[int] = []

    def hear(epoch) -> None:
        watch.heard(epoch)
        heard.append(len(said))

    fitted(built(dropout=0), noisy, validation, epochs=80, learning_rate=0.01, batch_size=16, hear=hear)
    assert len(said) == 1
    assert said[0].startswith("is overfitting since epoch ")
    assert 0 < heard.index(1) < 60, "long before the end"


def test_a_training_that_learns_is_not_warned_of():
    said: list[str] = []
    watch = Watch(500, said.append)
    fitted(train=table(2000), validation=table(500, seed=1), epochs=20, hear=watch.heard)
    assert said == []


def told_of(stopped: str = "epochs", **changed_vitals) -> set[str]:
    """Of two epochs in which hardly anything happened."""
    epochs = [
        SimpleNamespace(epoch=n, train_loss=0.70 - n / 1000, gradient_norm=1.0, loss_spikes=0) for n in (1, 2)
    ]
    calm = {
        "start_loss": 0.7, "start_gradients": {"first": 1.0, "last": 1.0}, "dead": {}, "spread": 1.0,
        "moved": 0.5, "unused": (), "columns": 4,
    }  # fmt: skip
    verdict = diagnose(epochs, Vitals(**{**calm, **changed_vitals}), stopped=stopped, learning_rate=0.01)
    return {finding["ailment"] for finding in verdict.evidence["findings"]}


@pytest.mark.parametrize(("first", "ailments"), [(5e-5, {"vanishing gradients"}), (2e-4, set())])
def test_gradients_vanish_below_a_ten_thousandth(first, ailments):
    assert told_of(start_gradients={"first": first, "last": 1.0}) == ailments


def test_a_rate_is_too_low_only_where_nothing_stopped_the_training_early():
    assert told_of(moved=0.01) == {"learning rate too low"}
    assert told_of(moved=0.01, stopped="patience") == set()
    assert told_of(moved=0.001, stopped="patience") == {"learning rate too low"}, "the weights stood still"
    assert "learning rate too low" not in told_of(moved=0.001, stopped="patience", dead={"blocks.1": 1.0})


def of_kind(kind: str, **more) -> nn.Module:
    sizes = Sizes(6, (4,), 2, "classification", embedded=tuple(range(6)))
    return build(Network(kind=kind, hidden=None if kind == "linear" else (16,), **more), sizes, 0)


@pytest.mark.parametrize("kind", ["mlp", "tabm", "resnet", "ft_transformer", "linear"])
def test_no_kind_of_network_is_accused_for_how_it_is_built(kind):
    fit = fitted(of_kind(kind), epochs=6, learning_rate=0.01, batch_size=32)
    assert found(fit) == {}


def test_a_sentence_tells_only_what_there_was_to_look_at():
    linear = fitted(of_kind("linear"), epochs=6, learning_rate=0.01)
    told = diagnose(linear.history, linear.vitals, stopped="epochs", learning_rate=0.01)
    assert told.sentence == "Healthy: gradients flow, no loss spikes, every input is used."
    calm = replace(linear.vitals, start_gradients={"head.weight": 1.0}, columns=129)
    told = diagnose(linear.history, calm, stopped="epochs", learning_rate=0.01)
    assert told.sentence == "Healthy: no loss spikes."


def test_gradients_vanish_only_where_all_of_the_first_weights_have_next_to_none():
    """An attention's queries have none while every token weighs the same."""
    weak, flowing = {"queries": 1e-6, "values": 1e-2}, {"middle": 0.1, "ffn": 0.1, "out": 0.1, "last": 1.0}
    assert told_of(start_gradients={**weak, **flowing}) == set()
    assert told_of(start_gradients={**weak, "values": 1e-6, **flowing}) == {"vanishing gradients"}


def rate_told(*losses: float, constant: float | None = 0.7) -> str:
    epochs = [
        SimpleNamespace(epoch=n, train_loss=loss, gradient_norm=1.0, loss_spikes=0, constant_loss=constant)
        for n, loss in enumerate(losses, 1)
    ]
    seen = Vitals(0.7, {"first": 1.0, "last": 1.0}, {}, 1.0, 0.5, (), 4)
    verdict = diagnose(epochs, seen, stopped="epochs", learning_rate=0.01)
    told = {f["ailment"]: f["evidence"] for f in verdict.evidence["findings"]}
    return told.get("learning rate too high", "")


def test_steps_that_are_too_large_show_in_train_loss():
    assert rate_told(20, 1, 0.5, 0.4, 0.35, 0.3) == "train loss was 0.7 at the start and 20 after epoch 1"
    assert "rose and fell by 0.1" in rate_told(0.6, 0.5, 0.6, 0.5, 0.6, 0.5)
    assert rate_told(0.6, 0.45, 0.46, 0.48, 0.5, 0.53, 0.56, 0.6, 0.64, 0.69).endswith(
        "is 0.69 at the end, no better than a constant's"
    )
    assert rate_told(0.75, 0.8, 0.75, 0.72, 0.72).endswith(
        "rose to 0.8 and never was better than a constant's"
    )


def test_a_train_loss_that_falls_and_then_wanders_near_nothing_is_no_sign_of_a_high_rate():
    assert rate_told(0.5, 0.2, 0.05, 0.01, 0.02, 0.005, 0.015, 0.004, 0.016, 0.003) == ""
    assert rate_told(0.7, 0.69, 0.68, 0.69, 0.68) == ""


def test_a_warning_that_the_whole_training_does_not_bear_out_is_taken_back():
    said: list[str] = []
    validation = table(300, seed=1)
    watch = Watch(len(validation), said.append)
    train = table(60)
    noisy = Part(train.numbers, train.categories, train.target.flip(0))
    fit = fitted(
        built(dropout=0), noisy, validation, epochs=40, learning_rate=0.01, batch_size=16, hear=watch.heard
    )
    verdict = judge(fit.history, fit.best_epoch, len(validation))
    onset = verdict.evidence["onset_epoch"]
    assert said == [f"is overfitting since epoch {onset}, and still trains"]
    watch.ended(verdict)
    assert len(said) == 1, "the verdict says the same"
    watch.ended(Verdict("overfitting", "healthy", "", {"onset_epoch": None}))
    assert said[1:] == [f"turned out healthy in the end, not overfitting since epoch {onset}"]
    watch.ended(Verdict("overfitting", "overfitting", "", {"onset_epoch": 39}))
    assert said[2:] == [
        f"turned out overfitting since epoch 39 in the end, not overfitting since epoch {onset}"
    ]


def test_weights_that_went_far_and_ended_with_one_output_for_all_had_a_high_rate():
    ailments = told_of(spread=0.0, moved=1.1)
    assert ailments == {"constant output", "learning rate too high"}
    assert told_of(spread=0.0, moved=0.1) == {"constant output"}


def test_saturated_units_are_dead_as_silent_ones_are():
    from etude.training.objective import Objective

    class Saturated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.squash, self.head = nn.Linear(6, 8), nn.Sigmoid(), nn.Linear(8, 2)
            with torch.no_grad():
                self.body.bias[:6].fill_(1e3)

        def forward(self, numbers: torch.Tensor, categories: torch.Tensor) -> torch.Tensor:
            return self.head(self.squash(self.body(numbers)))

    network, train = Saturated(), table(100)
    start = Start.of(network, train, Objective("classification", 2))
    assert vitals(network, train, start).dead == {"squash": 0.75}


@pytest.mark.parametrize(("spikes", "ailing"), [(2, set()), (3, {"loss spikes"})])
def test_a_spike_or_two_accuse_nobody(spikes, ailing):
    epochs = [
        SimpleNamespace(epoch=n, train_loss=0.6 - n / 20, gradient_norm=1.0, loss_spikes=spikes * (n == 2))
        for n in (1, 2, 3)
    ]
    seen = Vitals(0.7, {"first": 1.0, "last": 1.0}, {}, 1.0, 0.5, (), 4)
    verdict = diagnose(epochs, seen, stopped="epochs", learning_rate=0.01)
    assert {f["ailment"] for f in verdict.evidence["findings"]} == ailing
