"""What reading and preparing a table costs: the strict CSV reader beside pandas, and collect to encode by rows.

    python bench/data.py [--flights FILE] [--repeats 5]

CSV: CPU seconds of ``etude.reading`` and of ``pandas.read_csv`` (C engine, its defaults) on the same 336,776 x 19 rows,
in turns, with the ratio of each turn; a made table of the shape and types of nycflights13, or the file that is given.
Steps: collect + clean + split + encode of 3,000,000 x 5 rows in a process of its own. Peak memory is the process's
highest resident size less what it had after the same steps on 2,000 rows (all imports), as a multiple of the table in
Arrow's memory. The exponent is the slope of log CPU seconds over log rows from 10,000 to 3,000,000.
Writes bench/results/data.json.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

RESULTS = Path(__file__).parent / "results" / "data.json"
FLIGHTS = 336_776
ROWS = (10_000, 100_000, 1_000_000, 3_000_000)
MEGABYTE = 1 << 20


def generator(name: str) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64([len(name), *name.encode()]))


def flights(path: Path) -> None:
    """A CSV file like nycflights13: 14 columns of whole numbers, four of codes and a date, 3 % without delays."""
    import pyarrow as pa
    from pyarrow import csv

    draw = generator("flights")

    def whole(low: int, high: int) -> pa.Array:
        return pa.array(draw.integers(low, high, FLIGHTS))

    def gappy(low: int, high: int) -> pa.Array:
        return pa.array(draw.integers(low, high, FLIGHTS), mask=draw.random(FLIGHTS) < 0.03)

    def codes(count: int, spell: Callable[[int], str]) -> pa.Array:
        return pa.array([spell(i) for i in range(count)]).take(pa.array(draw.integers(0, count, FLIGHTS)))

    month, day, hour = (draw.integers(low, high, FLIGHTS) for low, high in ((1, 13), (1, 29), (5, 24)))
    columns = {
        "year": pa.array(np.full(FLIGHTS, 2013)),
        "month": pa.array(month),
        "day": pa.array(day),
        "dep_time": gappy(1, 2400),
        "sched_dep_time": whole(100, 2360),
        "dep_delay": gappy(-40, 300),
        "arr_time": gappy(1, 2400),
        "sched_arr_time": whole(1, 2360),
        "arr_delay": gappy(-80, 300),
        "carrier": codes(16, lambda i: "ABCDEFGHIJKLMNOP"[i] + "AX9"[i % 3]),
        "flight": whole(1, 8500),
        "tailnum": codes(4043, lambda i: f"N{100 + i}{'ABCDEFGH'[i % 8]}Q"),
        "origin": codes(3, lambda i: ("EWR", "JFK", "LGA")[i]),
        "dest": codes(105, lambda i: "".join(chr(65 + i * k % 26) for k in (3, 7, 11))),
        "air_time": gappy(20, 700),
        "distance": whole(80, 5000),
        "hour": pa.array(hour),
        "minute": whole(0, 60),
        "time_hour": pa.array(
            [f"2013-{m:02d}-{d:02d} {h:02d}:00:00" for m, d, h in zip(month, day, hour, strict=True)]
        ),
    }
    csv.write_csv(pa.table(columns), path, csv.WriteOptions(quoting_style="none"))


def five_columns(path: Path, rows: int) -> None:
    """A CSV file with two numbers, a whole number, a category of 50 levels and a class."""
    import pyarrow as pa
    from pyarrow import csv

    draw = generator("five")
    levels = pa.array([f"level {i}" for i in range(50)])
    columns = {
        "height": pa.array(draw.normal(170, 10, rows).round(3)),
        "weight": pa.array(draw.normal(70, 12, rows).round(3), mask=draw.random(rows) < 0.02),
        "visits": pa.array(draw.poisson(5, rows)),
        "place": levels.take(pa.array(draw.integers(0, 50, rows))),
        "outcome": pa.array(["no", "yes"]).take(pa.array(draw.integers(0, 2, rows))),
    }
    csv.write_csv(pa.table(columns), path, csv.WriteOptions(quoting_style="none"))


def cpu(work: Callable[[], object]) -> float:
    """CPU seconds of this process, all threads."""
    began = time.process_time()
    work()
    return time.process_time() - began


def csv_ratio(path: Path, repeats: int) -> dict[str, Any]:
    import pandas as pd

    from etude.columns import parsing, schema
    from etude.experiment import Data
    from etude.reading.any_table import read

    data = Data(source=path.name, target="arr_delay", columns={"arr_delay": "number"})

    def typed() -> None:
        raw = read(data, path.parent).table
        parsing.parse(raw, schema.infer(raw, data))

    rounds = []
    for number in range(repeats + 1):
        turn = {
            "etude": cpu(lambda: read(data, path.parent)),
            "pandas": cpu(lambda: pd.read_csv(path, engine="c", low_memory=False)),
            "etude_with_kinds": cpu(typed),
        }
        if number:  # the first turn imports and fills the page cache
            rounds.append({key: round(value, 3) for key, value in turn.items()})
    return {
        "bytes": path.stat().st_size,
        "rounds": rounds,
        "ratio": round(median(r["etude"] / r["pandas"] for r in rounds), 2),
        "ratio_with_kinds": round(median(r["etude_with_kinds"] / r["pandas"] for r in rounds), 2),
    }


def steps(path: Path) -> dict[str, Any]:
    """Collect to encode on one file: CPU seconds of each step and the table's bytes in Arrow's memory."""
    from etude import snapshot
    from etude.experiment import Clean, Data, Split
    from etude.steps.clean import clean
    from etude.steps.collect import collect
    from etude.steps.encode import encode
    from etude.steps.split import split
    from etude.store import Store

    data, settings = Data(source=path.name, target="outcome"), Split()
    seconds: dict[str, float] = {}
    peaks: dict[str, float] = {}
    outputs: list[Any] = []

    def timed(name: str, step: Callable[[], Any]) -> None:
        seconds[name] = round(cpu(lambda: outputs.append(step().outputs)), 3)
        peaks[name] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)

    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        timed("collect", lambda: collect(store, data, settings, str(path.parent)))
        timed("clean", lambda: clean(store, outputs[0], data, Clean()))
        timed("split", lambda: split(store, outputs[1], data, settings, 0))
        timed("encode", lambda: encode(store, outputs[1], outputs[2], data, settings, 0))
        table_bytes = snapshot.from_bytes(store.get(outputs[0].table)).nbytes
    return {"seconds": seconds, "peak_mb": peaks, "table_bytes": table_bytes}


def child(path: Path, small: Path) -> None:
    """The steps on a small file, which imports everything, then on ``path``: peak memory above the first."""
    import psutil

    steps(small)
    baseline = psutil.Process().memory_info().rss
    found = steps(path)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    found |= {
        "import_mb": round(baseline / MEGABYTE, 1),
        "peak_above_import_mb": round((peak - baseline) / MEGABYTE, 1),
        "table_mb": round(found.pop("table_bytes") / MEGABYTE, 1),
    }
    found["peak_over_table"] = round(found["peak_above_import_mb"] / found["table_mb"], 2)
    print(json.dumps(found))


def by_rows(folder: Path, repeats: int) -> dict[str, Any]:
    """The steps for each number of rows, each in a process of its own; medians of CPU seconds."""
    small = folder / "small.csv"
    five_columns(small, 2_000)
    found: dict[str, Any] = {}
    for rows in ROWS:
        path = folder / f"rows_{rows}.csv"
        five_columns(path, rows)
        command = [sys.executable, __file__, "--child", str(path), str(small)]
        told = [
            json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            for _ in range(repeats)
        ]
        middle = sorted(told, key=lambda each: sum(each["seconds"].values()))[len(told) // 2]
        found[str(rows)] = middle | {"cpu_seconds": round(sum(middle["seconds"].values()), 3)}
        path.unlink()
    logs = [(math.log(rows), math.log(found[str(rows)]["cpu_seconds"])) for rows in ROWS]
    slope = float(np.polyfit([x for x, _ in logs], [y for _, y in logs], 1)[0])
    last = (logs[-1][1] - logs[-2][1]) / (logs[-1][0] - logs[-2][0])
    largest = found[str(ROWS[-1])]
    return {
        "rows": found,
        "exponent": round(slope, 3),
        "exponent_of_the_last_step": round(last, 3),
        "peak_over_table": largest["peak_over_table"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--flights", type=Path, help="a CSV file to read instead of the made one")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--child", type=Path, nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        child(*given.child)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        made = folder / "flights.csv"
        flights(made)
        found: dict[str, Any] = {"csv": csv_ratio(made, given.repeats)}
        if given.flights:
            found["csv_given"] = csv_ratio(given.flights.absolute(), given.repeats)
        made.unlink()
        found["steps"] = by_rows(folder, max(1, given.repeats // 2))
    machine = {"cores": os.cpu_count(), "load": os.getloadavg()[0], "python": platform.python_version()}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(found | {"machine": machine}, indent=1) + "\n")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
