"""Planted cases beside healthy runs, on six kinds of network: do the verdicts say what was planted, and no more?

    python bench/verdicts.py [--seeds 102] [--show]

The tables and what is planted in them are in bench/verdict_tables.py, the cases in bench/verdict_cases.py. Thresholds
were tuned on seeds 0 to 3 and 100; what is reported is of other seeds, with other drawn tables and other splits of the
real ones. A case is right when the verdicts name it (a training that stops as diverged names exploding gradients and a
learning rate that is too high). A healthy run is a false alarm when overfitting's verdict is not healthy or the doctor
finds anything. A word is precise where the case plants it or brings it with it.
Writes bench/results/verdicts.json. Each seed takes about ten minutes of one core.
"""

from __future__ import annotations

import argparse
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from torch import nn

from bench.verdict_cases import Case, Saturating, cases
from bench.verdict_tables import table
from etude.evaluation import doctor, overfitting
from etude.experiment import Network, Train
from etude.networks.build import build
from etude.seeds import numpy_generator
from etude.training import fitting
from etude.training.fitting import Recipe, TrainingDivergedError

RESULTS = Path(__file__).parent / "results" / "verdicts.json"


def verdicts(case: Case, seed: int) -> set[str]:
    """The words that the two verdicts say."""
    draw = numpy_generator(seed, f"bench/verdicts/{case.name}/{case.table}/{case.kind}")
    data = case.plant(table(case.table, seed), draw)
    settings = Train(**case.settings)
    try:
        fitted = fitting.fit(
            _network(case, data.sizes, seed), data.train, data.validation, task=data.sizes.task,
            outputs=data.sizes.outputs, settings=settings, seed=seed,
            recipe=Recipe(settings.schedule, settings.warmup_epochs, settings.clip_norm, settings.average),
        )  # fmt: skip
    except TrainingDivergedError:
        return {"exploding gradients", "learning rate too high"}
    learned = overfitting.judge(fitted.history, fitted.best_epoch, len(data.validation))
    found = doctor.diagnose(
        fitted.history, fitted.vitals, stopped=fitted.stopped, learning_rate=settings.learning_rate
    )
    return {learned.verdict, *(f["ailment"] for f in found.evidence["findings"])}


def _network(case: Case, sizes: Any, seed: int) -> nn.Module:
    if case.kind == "saturating":
        return Saturating(sizes.numbers, sizes.outputs)
    return case.change(build(Network(**case.network), sizes, seed))


def counted(said: list[tuple[Case, int, set[str]]]) -> dict[str, Any]:
    """How many cases were named, by what was planted, how many words were right, and each that was wrong."""
    planted = [(case, seed, words) for case, seed, words in said if case.expected]
    healthy = [(case, seed, words) for case, seed, words in said if not case.expected]
    right = [(case, seed, words) for case, seed, words in planted if words & {*case.expected}]
    alarms = [(case, seed, words) for case, seed, words in healthy if words != {"healthy"}]
    wrong = [found for found in said if found in alarms or (found[0].expected and found not in right)]
    names, named = Counter(c.name for c, _, _ in planted), Counter(c.name for c, _, _ in right)
    spoken = Counter(word for _, _, words in said for word in words - {"healthy"})
    fitting_words = Counter(w for c, _, words in said for w in words & {*c.expected, *c.allowed})
    return {
        "planted": len(planted),
        "right": len(right),
        "healthy": len(healthy),
        "false_alarms": len(alarms),
        "seeds": sorted({seed for _, seed, _ in said}),
        "named": {name: [named[name], count] for name, count in names.items()},
        "precise": {word: [fitting_words[word], count] for word, count in sorted(spoken.items())},
        "wrong": [f"{c.name}, {c.kind} on {c.table}, seed {seed}: {sorted(w)}" for c, seed, w in wrong],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[102])
    parser.add_argument("--show", action="store_true", help="print what is wrong")
    parser.add_argument("--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    result = counted([(case, seed, verdicts(case, seed)) for seed in arguments.seeds for case in cases()])
    print(f"{result['right']} of {result['planted']} planted cases named, "
          f"{result['false_alarms']} false alarms in {result['healthy']} healthy runs")  # fmt: skip
    for title, counts in (("named", result["named"]), ("right when said", result["precise"])):
        print(title, *(f"  {name}: {right} of {count}" for name, (right, count) in counts.items()), sep="\n")
    if arguments.show:
        print("\n".join(result["wrong"]))
    arguments.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
