"""Does a temperature fitted on validation lower the log loss on test? `evaluate.calibrate` rests on this.

    python bench/calibration.py --data FOLDER [--seeds 0 1] [--sets adult,telco]

Trains Etude's defaults on the classification tables of bench/quality_sets.py (its sklearn tables need no folder), and
prints the test log loss without, with an always fitted, and with a temperature under each rule of keeping it.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np

from bench.quality_sets import SETS, TableSet
from etude import snapshot
from etude.encoding.encoder import Encoder
from etude.evaluation.decision import fitted_temperature, softmax, temperature_gain
from etude.experiment_file import checked
from etude.steps.clean import clean
from etude.steps.collect import collect
from etude.steps.encode import arrays, encoded
from etude.steps.split import positions, split
from etude.steps.train import part, train, trained_network
from etude.store import Store
from etude.training import inference


def log_loss(outputs: np.ndarray, labels: np.ndarray, temperature: float) -> float:
    shares = softmax(outputs, temperature)[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(shares, 1e-300)).mean())


def measured(table_set: TableSet, folder: Path, seed: int, rows: int) -> dict[str, float | str] | None:
    """One line of the result; None for a regression."""
    source = table_set.source if ":" in table_set.source else str(folder / table_set.source)
    e = checked(
        {
            "name": "calibration",
            "seed": seed,
            "data": {
                "source": source,
                "target": table_set.target,
                "drop": list(table_set.drop),
                "missing": list(table_set.missing),
                "columns": table_set.columns,
            },
            "clean": {"missing_target": "drop"},
        }
    )
    with tempfile.TemporaryDirectory() as temporary:
        store = Store(Path(temporary))
        collected = collect(store, e.data, e.split, ".").outputs
        cleaned = clean(store, collected, e.data, e.clean).outputs
        if cleaned.task == "regression":
            return None
        table = snapshot.from_bytes(store.get(cleaned.table))
        few = np.sort(np.random.Generator(np.random.PCG64(seed)).permutation(len(table))[:rows])
        cleaned = cleaned.__class__(
            store.put(snapshot.to_bytes(table.take(few))), cleaned.schema, cleaned.task, len(few)
        )
        parts = split(store, cleaned, e.data, e.split, e.seed).outputs
        encodings = encoded(store, cleaned, parts, e.data, e.split, e.seed)[0].outputs
        trained = train(store, encodings, e.network, e.train, e.seed).outputs
        model = trained_network(store, encodings, trained, e.network, e.train, e.seed)
        encoder = Encoder.from_bytes(store.get(encodings.encoder))
        test = part(store, store.put(arrays(encoder, snapshot.from_bytes(store.get(cleaned.table)).take(
            positions(store, parts)["test"]))))  # fmt: skip
        validation = part(store, encodings.validation)
        with inference.exact(1):
            seen = inference.predict(model, validation.numbers, validation.categories).numpy()
            asked = inference.predict(model, test.numbers, test.categories).numpy()
    labels, truth = validation.target.numpy(), test.target.numpy()
    temperature = fitted_temperature(seen, labels)
    gain, error = temperature_gain(seen, labels)
    plain, always = log_loss(asked, truth, 1.0), log_loss(asked, truth, temperature)
    return {
        "set": table_set.name,
        "seed": seed,
        "temperature": round(temperature, 4),
        "gain_cross_fitted": gain,
        "its_error": error,
        "plain": plain,
        "always": always,
        "if_better": always if gain > 0 else plain,
        "if_clearly_better": always if gain > error else plain,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(), help="folder of the tables")
    parser.add_argument("--sets", default="", help="names of bench/quality_sets.py, with commas")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--rows", type=int, default=6_000, help="at most, of each table")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "calibration.json")
    given = parser.parse_args()
    wanted = [name for name in given.sets.split(",") if name]
    lines = []
    for table_set in SETS:
        if table_set.by != "random" or (wanted and table_set.name not in wanted):
            continue
        for seed in given.seeds:
            line = measured(table_set, given.data, seed, given.rows)
            if line is None:
                break
            lines.append(line)
            print(json.dumps(line), flush=True)
    rules = ("always", "if_better", "if_clearly_better")
    change = {rule: [line[rule] / line["plain"] - 1 for line in lines] for rule in rules}
    summary = {
        rule: {"mean": float(np.mean(c)), "worst": max(c), "best": min(c)} for rule, c in change.items()
    }
    print(json.dumps(summary, indent=1))
    given.out.write_text(json.dumps({"relative_change": summary, "runs": lines}, indent=1) + "\n")


if __name__ == "__main__":
    main()
