"""Score and seconds of Etude's defaults beside other models' defaults, on the same rows.

    python bench/quality.py --data FOLDER [--sets adult,telco] [--models etude,lightgbm] [--out FILE]

The others come from scikit-learn, lightgbm, xgboost and pytabkit, which only this bench needs: install them into an
environment of its own (bench/README.md). A model that is not installed is left out. Every model gets at most 5,000
rows and answers up to 5,000 others (bench/quality_sets.py); Etude and pytabkit's hold a fifth of the first back for
their validation. A network of pytabkit that takes more than --cpu-limit seconds on a set is stopped and has no score.
The score is ROC AUC for two classes, accuracy for more, R2 for a number. One thread.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Sequence
from math import isnan, nan
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from bench import quality_models
from bench.quality_sets import Prepared, chosen, held_out, prepared

COMPANY = ("linear", "sklearn_mlp", "histgb", "lightgbm")
SEED = 0


def main() -> None:
    """Prints a line a model and set, then the table with the mean rank in the company."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, default=Path(), help="folder of the tables")
    parser.add_argument(
        "--sets", default="", help="names of bench/quality_sets.py, with commas; all if not given"
    )
    parser.add_argument("--models", default=",".join((*COMPANY, "xgboost", "etude")))
    parser.add_argument(
        "--cpu-limit", type=float, default=quality_models.CPU_LIMIT, help="of pytabkit's, a set"
    )
    parser.add_argument("--out", type=Path, help="JSON lines are appended here")
    parser.add_argument("--table", type=Path, help="print the table of these JSON lines, measure nothing")
    given = parser.parse_args()
    if given.table:
        print(table([json.loads(line) for line in given.table.read_text().splitlines()]))
        return
    quality_models.CPU_LIMIT = given.cpu_limit
    results: list[dict[str, Any]] = []
    for table_set in chosen([name for name in given.sets.split(",") if name]):
        task = prepared(table_set, given.data)
        for model in given.models.split(","):
            line = {"set": table_set.name, "model": model, **_measured(model, task)}
            results.append(line)
            print(json.dumps(line), flush=True)
            if given.out:
                with given.out.open("a") as file:
                    file.write(json.dumps(line) + "\n")
    print(table(results))


def _measured(model: str, task: Prepared) -> dict[str, Any]:
    start, cpu = time.perf_counter(), time.process_time()
    found: float | None = None
    try:
        if model == "etude":
            truth, answers, note = etude_answers(task)
        else:
            truth, answers, note = quality_models.answers(model, task)
        found = round(score(task.task, truth, answers), 4)
    except TimeoutError as error:
        note = f"stopped, {error}"
    return {
        "score": found,
        "seconds": round(time.perf_counter() - start, 1),
        "cpu_seconds": round(time.process_time() - cpu, 1),
        "note": note,
    }


def etude_answers(task: Prepared) -> tuple[Any, Any, str]:
    """Truth, answers (probabilities, or values) and the rule's reason, at the defaults of an experiment."""
    import torch

    from etude.encoding import encoder as encoding
    from etude.evaluation.decision import softmax
    from etude.experiment import Network, TrainKeys
    from etude.networks.auto import choose
    from etude.networks.build import build
    from etude.networks.sizes import Sizes
    from etude.training import fitting, inference
    from etude.training.objective import Part
    from etude.training.recipe import Recipe

    train, validation = held_out(task)
    encoder = encoding.fit(train, task.schema, task.data, task.task, SEED, task.features)

    def part(rows: Any) -> Part:
        known = rows.filter(encoder.target.knows(rows[task.table_set.target]))
        encoded, target = encoder.transform(known), encoder.target.encode(known[task.table_set.target])
        return Part(*map(torch.from_numpy, (encoded.numbers, encoded.categories, target)))

    outputs = len(encoder.target.labels) or 1
    sizes = Sizes(
        len(encoder.number_names), encoder.cardinalities, outputs, task.task, encoder.image, encoder.measured
    )
    choice = choose(Network(), TrainKeys(), sizes, len(train))
    settings = choice.train
    network = build(choice.network, sizes, SEED)
    recipe = Recipe(settings.schedule, settings.warmup_epochs, settings.clip_norm, settings.average)
    fitted = fitting.fit(
        network,
        part(train),
        part(validation),
        task=task.task,
        outputs=outputs,
        settings=settings,
        seed=SEED,
        recipe=recipe,
    )
    asked = part(task.asked)
    with inference.exact(1):
        found = inference.predict(network, asked.numbers, asked.categories).numpy()
    answers = found[:, 0] if task.task == "regression" else softmax(found)
    return (
        asked.target.numpy(),
        answers,
        f"{choice.why}; best epoch {fitted.best_epoch} of {len(fitted.history)}",
    )


def score(task: str, truth: Any, answers: Any) -> float:
    """ROC AUC, accuracy or R2, by the task and the number of classes."""
    from sklearn.metrics import accuracy_score, r2_score, roc_auc_score

    if task == "regression":
        return float(r2_score(truth, answers))
    if answers.shape[1] == 2:
        return float(roc_auc_score(truth, answers[:, 1]))
    return float(accuracy_score(truth, answers.argmax(axis=1)))


def table(results: list[dict[str, Any]]) -> str:
    """Markdown: a row a set, the CPU seconds of all, and two mean ranks (1 is best, ties share).

    Of five: a model among the company and itself, Etude being the fifth beside the company. Of six: the company,
    RealMLP and Etude. Only sets count on which all of them have a score.
    """
    models = list(dict.fromkeys(r["model"] for r in results))
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for r in results:
        found.setdefault(r["set"], {})[r["model"]] = r
    scores = {
        name: {model: line["score"] for model, line in lines.items() if line["score"] is not None}
        for name, lines in found.items()
    }
    rows = [["set", *models], ["---"] * (len(models) + 1)]
    rows += [[name, *(_cell(lines.get(m)) for m in models)] for name, lines in found.items()]
    seconds = [sum(r["cpu_seconds"] for r in results if r["model"] == m) for m in models]
    rows.append(["CPU seconds", *(f"{s:.0f}" for s in seconds)])
    five = [_mean_rank(m, (*COMPANY, "etude" if m in COMPANY else m), scores) for m in models]
    rows.append(["mean rank of five", *(_rank(rank) for rank in five)])
    six = (*COMPANY, "realmlp", "etude")
    rows.append(
        ["mean rank of six", *(_rank(_mean_rank(m, six, scores) if m in six else nan) for m in models)]
    )
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _cell(line: dict[str, Any] | None) -> str:
    if line is None:
        return ""
    return f"{line['score']:.3f} ({line['cpu_seconds']:g} s)" if line["score"] is not None else line["note"]


def _rank(mean: float) -> str:
    return "" if isnan(mean) else f"{mean:.2f}"


def _mean_rank(model: str, company: Sequence[str], scores: dict[str, dict[str, float]]) -> float:
    """NaN where no set has a score of everyone."""
    ranks = []
    for found in scores.values():
        if {*company} <= found.keys():
            rivals = [found[m] for m in company if m != model]
            ranks.append(
                1 + sum(r > found[model] for r in rivals) + sum(r == found[model] for r in rivals) / 2
            )
    return float(np.mean(ranks)) if ranks else nan


if __name__ == "__main__":
    main()
