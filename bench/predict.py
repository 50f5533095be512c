"""How fast `etude predict`'s own work is on one core, and whether its memory stays: rows a minute and peak RSS by rows.

    python bench/predict.py                        # 10^6 and 3 x 10^6 rows, CSV to CSV; about 5 minutes
    python bench/predict.py --rows 100000 --profile

A table of 20 mixed columns (an id, ten numbers, six categories, a boolean, a date, a code), an mlp of 128-128 trained
on 5,000 of its rows. Each size is predicted in a process of its own with one thread; the drift is watched, too.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import pstats
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv

RESULTS = Path(__file__).parent / "results" / "predict.json"
CHUNK = 100_000


def table(rows: int, first: int) -> pa.Table:
    """Rows ``first`` on of the endless table."""
    draw = np.random.Generator(np.random.PCG64(first))
    columns: dict[str, object] = {"id": [f"r{first + i:09d}" for i in range(rows)]}
    numbers = draw.normal(size=(10, rows)).round(4)
    for i, values in enumerate(numbers):
        columns[f"n{i}"] = pa.array(values, mask=draw.random(rows) < 0.02)
    codes = draw.integers(0, 30, size=(6, rows))
    for i, values in enumerate(codes):
        columns[f"c{i}"] = pa.array([f"level {v}" for v in range(30)]).take(pa.array(values))
    columns["b"] = pa.array(["no", "yes"]).take(pa.array(draw.integers(0, 2, rows)))
    columns["d"] = pa.array(draw.integers(1_500_000_000, 1_700_000_000, rows) * 1_000_000, pa.timestamp("us"))
    columns["z"] = pa.array([f"{v:05d}" for v in range(200)]).take(pa.array(draw.integers(0, 200, rows)))
    score = numbers[0] + numbers[1] * numbers[2] + (codes[0] > 14) + draw.normal(0, 0.5, rows)
    columns["y"] = pa.array(["low", "high"]).take(pa.array((score > 0.5).astype(np.int64)))
    return pa.table(columns)


def write(path: Path, rows: int, *, first: int = 0) -> None:
    with csv.CSVWriter(path, table(1, 0).schema) as writer:
        for start in range(0, rows, CHUNK):
            writer.write(table(min(CHUNK, rows - start), first + start))


def train(folder: Path) -> Path:
    """A packed model of the table's first rows, by the steps alone."""
    from etude.experiment_file import checked
    from etude.steps.whole import run_steps
    from etude.store import Store

    write(folder / "train.csv", 5_000)
    e = checked(
        {
            "name": "bench",
            "data": {"source": "train.csv", "target": "y"},
            "network": {"kind": "mlp"},
            "train": {"epochs": 5},
        }
    )
    store = Store(folder / "store")
    packed = run_steps(store, e, str(folder)).outcomes["register"].outputs
    model = folder / "model"
    model.mkdir()
    for name, ref in packed.files.items():
        (model / name).write_bytes(store.get(ref))
    return model


def predict(model: str, source: str, output: str, *, profiled: bool) -> None:
    """In this process: one JSON line with the rows, the seconds after the imports, and the peak of the memory."""
    from etude import model as models
    from etude.experiment import Data
    from etude.prediction.predicting import predict_stream
    from etude.prediction.writing import opened_output
    from etude.reading.stream import stream

    pa.set_cpu_count(1)
    loaded = models.load(Path(model))
    profile = cProfile.Profile()
    start = time.perf_counter()
    with opened_output(output) as writer:
        pieces = stream(Data(source=source, target="y"), Path())
        if profiled:
            profile.enable()
        found = predict_stream(loaded, pieces, writer)
        profile.disable()
    seconds = time.perf_counter() - start
    if profiled:
        pstats.Stats(profile, stream=sys.stderr).sort_stats("tottime").print_stats(25)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    drifted = [drift.column for drift in found.drifted]
    print(json.dumps({"rows": found.rows, "seconds": seconds, "peak_bytes": peak, "drifted": drifted}))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 3_000_000])
    parser.add_argument("--format", choices=["csv", "parquet"], default="csv")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--one", nargs=3, metavar=("MODEL", "DATA", "OUT"), help="what each process does")
    arguments = parser.parse_args()
    if arguments.one:
        predict(*arguments.one, profiled=arguments.profile)
        return
    results = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        model = train(folder)
        for rows in arguments.rows:
            source = folder / f"{rows}.csv"
            write(source, rows, first=1_000_000_000)
            out = folder / f"out.{arguments.format}"
            command = [sys.executable, __file__, "--one", str(model), str(source), str(out)]
            command += ["--profile"] * arguments.profile
            told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            result = json.loads(told.stdout) | {"bytes": source.stat().st_size, "format": arguments.format}
            result["rows_a_minute"] = round(60 * result["rows"] / result["seconds"])
            print(json.dumps(result))
            results.append(result)
            source.unlink()
    if not arguments.profile:
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
