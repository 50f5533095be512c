"""Score and seconds of Etude's defaults beside other models' defaults, on the same rows.

    python bench/quality.py --data FOLDER [--sets adult,telco] [--models etude,lightgbm] [--out FILE]

The others come from scikit-learn, lightgbm, xgboost and pytabkit, which only this bench needs: install them into an
environment of its own (bench/README.md). A model that is not installed is left out. Every model gets at most 5,000
rows and answers up to 5,000 others (bench/quality_sets.py); Etude holds a fifth of the first back for its validation.
The score is ROC AUC for two classes, accuracy for more, R2 for a number. One thread.
"""

from __future__ import annotations

import argparse
import json
import os
import time
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
    parser.add_argument("--data", type=Path, required=True, help="folder of the tables")
    parser.add_argument(
        "--sets", default="", help="names of bench/quality_sets.py, with commas; all if not given"
    )
    parser.add_argument("--models", default=",".join((*COMPANY, "xgboost", "etude")))
    parser.add_argument("--out", type=Path, help="JSON lines are appended here")
    given = parser.parse_args()
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
    if model == "etude":
        truth, answers, note = etude_answers(task)
    else:
        truth, answers, note = quality_models.answers(model, task)
    return {
        "score": round(score(task.task, truth, answers), 4),
        "seconds": round(time.perf_counter() - start, 1),
        "cpu_seconds": round(time.process_time() - cpu, 1),
        "note": note,
    }


def etude_answers(task: Prepared) -> tuple[Any, Any, str]:
    """Truth, answers (probabilities, or values) and the rule's reason, at the defaults of an experiment."""
    import torch

    from etude.encoding import encoder as encoding
    from etude.experiment import Network, TrainKeys
    from etude.model import probabilities
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
    answers = found[:, 0] if task.task == "regression" else probabilities(found)
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
    """Markdown: a row a set, and each contender's mean rank beside the four of the company (ties share)."""
    models = list(dict.fromkeys(r["model"] for r in results))
    scores: dict[str, dict[str, dict[str, Any]]] = {}
    for r in results:
        scores.setdefault(r["set"], {})[r["model"]] = r
    lines = ["| set | " + " | ".join(models) + " |", "|---" * (len(models) + 1) + "|"]
    for name, found in scores.items():
        cells = [f"{found[m]['score']:.3f} ({found[m]['seconds']:g} s)" if m in found else "" for m in models]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    ranks = [_mean_rank(model, scores) for model in models]
    lines.append(
        "| mean rank of five | " + " | ".join(f"{rank:.2f}" if rank else "" for rank in ranks) + " |"
    )
    return "\n".join(lines)


def _mean_rank(model: str, scores: dict[str, dict[str, dict[str, Any]]]) -> float | None:
    """The model's rank among the company and itself, over the sets that all of them have; others beside etude."""
    fifth = "etude" if model in COMPANY else model
    ranks = []
    for found in scores.values():
        if not {*COMPANY, fifth} <= found.keys():
            continue
        rivals = [found[m]["score"] for m in (*COMPANY, fifth) if m != model]
        mine = found[model]["score"]
        ranks.append(1 + sum(r > mine for r in rivals) + sum(r == mine for r in rivals) / 2)
    return float(np.mean(ranks)) if ranks else None


if __name__ == "__main__":
    main()
