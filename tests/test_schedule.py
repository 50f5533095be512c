"""Schedules are those of torch, without its optimizers, and start with a warm-up."""

import pytest
import torch

from etude.training.recipe import Recipe
from etude.training.schedule import Schedule


def rates(schedule: Schedule) -> list[float]:
    return [schedule.learning_rate(step) for step in range(schedule.steps)]


def torchs(scheduler: type, steps: int, **settings) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.4, momentum=0.9)
    made = scheduler(optimizer, **settings)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        made.step()
    return found


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("steps", [10, 101])
def test_cosine_and_one_cycle_equal_torchs(steps):
    lr = torch.optim.lr_scheduler
    assert rates(Schedule("cosine", 0.4, steps)) == pytest.approx(
        torchs(lr.CosineAnnealingLR, steps, T_max=steps), rel=1e-9
    )
    assert rates(Schedule("one_cycle", 0.4, steps)) == pytest.approx(
        torchs(lr.OneCycleLR, steps, max_lr=0.4, total_steps=steps), rel=1e-9
    )


def test_constant_stays():
    assert rates(Schedule("constant", 0.1, 5)) == [0.1] * 5


@pytest.mark.parametrize("kind", ["constant", "cosine"])
def test_a_warm_up_rises_linearly_to_the_peak_and_is_never_zero(kind):
    found = rates(Schedule(kind, 0.5, 20, warmup_steps=4))
    assert found[:5] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5])
    assert max(found) == found[4]


def test_cosine_after_a_warm_up_is_halfway_at_the_middle_of_the_rest():
    assert Schedule("cosine", 1.0, 24, warmup_steps=4).learning_rate(14) == pytest.approx(0.5)


@pytest.mark.parametrize("kind", ["constant", "cosine", "one_cycle"])
@pytest.mark.parametrize("steps", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("warmup_steps", [0, 1, 7])
def test_short_trainings_have_positive_rates_up_to_the_peak(kind, steps, warmup_steps):
    found = rates(Schedule(kind, 0.3, steps, warmup_steps))
    assert all(0 < rate <= 0.3 + 1e-12 for rate in found)


def test_a_recipe_counts_its_warm_up_in_epochs():
    schedule = Recipe("cosine", warmup_epochs=1.5).learning_rates(0.1, epochs=10, steps_per_epoch=8)
    assert (schedule.steps, schedule.warmup_steps, schedule.peak) == (80, 12, 0.1)
    assert Recipe(warmup_epochs=99).learning_rates(0.1, epochs=2, steps_per_epoch=8).warmup_steps == 16
