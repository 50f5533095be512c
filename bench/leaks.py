"""How many planted leaks are found, how often a clean table is accused. Tuned on seeds 0-99, reported on 1000-1099.

    python bench/leaks.py                      seeds 1000-1099 -> bench/results/leaks.json
    python bench/leaks.py --seeds 0 100 -o -   while tuning
    python bench/leaks.py --write FOLDER --seeds 1000 1010     the same tables as CSV, for another tool

Each seed plants one kind in each of the 15 tables, at three strengths; over 12 seeds every kind meets every table.
A leak counts as found when a finding of a fitting kind names the planted column (or, for leaks in the rows, is there).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from leak_plants import PLANTS, STRENGTHS, Planted, plant
from leak_tables import TABLES, Clean, table

FITTING = {
    "copy": {"target copy", "near copy", "known afterwards"},
    "transform": {"target copy", "near copy", "known afterwards"},
    "noisy copy": {"target copy", "near copy", "known afterwards"},
    "binned copy": {"target copy", "near copy", "known afterwards"},
    "known afterwards": {"near copy", "known afterwards", "missing with the target"},
    "missing with the target": {"missing with the target", "near copy", "known afterwards"},
    "id": {"id carries the target", "target copy", "near copy", "known afterwards"},
    "row order": {"row order"},
    "near duplicates": {"near duplicates"},
    "equal rows": {"equal rows"},
    "groups": {"groups"},
    "time": {"time"},
}


def cases(first: int, last: int) -> Iterator[tuple[int, Clean, Planted | None]]:
    """Seed, clean table, and the same with a leak; or None for the clean one alone."""
    for seed in range(first, last):
        for place, name in enumerate(TABLES):
            clean = table(name, seed)
            yield seed, clean, None
            kind = list(PLANTS)[(seed + place) % len(PLANTS)]
            for strength in STRENGTHS:
                yield seed, clean, plant(kind, strength, clean, seed)


def findings(clean: Clean, seed: int) -> tuple[Any, ...]:
    """What Etude says of the table, as a run would: schema, split, then the train rows."""
    from etude.columns import parsing, schema
    from etude.encoding import target as targets
    from etude.experiment import Data, Split
    from etude.leaks.look import Scene, find
    from etude.reading import any_table
    from etude.row_hash import row_hashes
    from etude.splitting import deal

    data, split = Data(source="frame", target=clean.target), Split()
    raw = any_table.read_frame(clean.frame)
    kinds = schema.infer(raw.table, data)
    parsed = parsing.parse(raw.table, kinds).table
    answers = parsed.column(clean.target)
    regression = targets.task_of(answers, "auto", clean.target) == "regression"
    values = answers.to_numpy() if regression else np.unique(answers.to_pylist(), return_inverse=True)[1]
    rows = deal.Rows(row_hashes(parsed, parsed.column_names), values, not regression)
    train = np.flatnonzero(deal.deal(split, seed, rows).part == 0)
    names = [name for name in parsed.column_names if name != clean.target]
    return find(Scene(parsed.take(train), train, kinds, data, split, names, regression, seed))


@dataclass(frozen=True)
class Seen:
    """What was said of one table; ``kind`` is empty for a clean one."""

    table: str
    kind: str
    strength: str
    hit: bool
    other_column: bool
    said: tuple[str, ...]
    seconds: float


def of_seed(seed: int) -> list[Seen]:
    """Every case of a seed."""
    seen = []
    for _, clean, planted in cases(seed, seed + 1):
        started = time.process_time()
        found = findings(planted.clean if planted else clean, seed)
        seconds = time.process_time() - started
        said = tuple(f.kind for f in found)
        if planted is None:
            seen.append(Seen(clean.name, "", "", False, False, said, seconds))
            continue
        name = planted.column
        hit = any(f.kind in FITTING[planted.kind] and (not name or name in f.columns) for f in found)
        other = any(f.columns and name not in f.columns for f in found)
        seen.append(Seen(clean.name, planted.kind, planted.strength, hit, other, said, seconds))
    return seen


def measure(first: int, last: int, processes: int) -> dict[str, Any]:
    """Rates per kind and strength, false alarms per table, CPU seconds a table."""
    with ProcessPoolExecutor(processes) as pool:
        seen = [one for some in pool.map(of_seed, range(first, last)) for one in some]
    clean, planted = [s for s in seen if not s.kind], [s for s in seen if s.kind]
    full = [s for s in planted if s.strength == "full"]
    return {
        "seeds": [first, last - 1],
        "tables": len(seen),
        "cpu_seconds_a_table_with_schema_and_split": round(sum(s.seconds for s in seen) / len(seen), 4),
        "found": {t: _rate([s.hit for s in planted if s.strength == t]) for t in STRENGTHS},
        "found_by_kind": {
            kind: {t: _rate([s.hit for s in planted if (s.kind, s.strength) == (kind, t)]) for t in STRENGTHS}
            for kind in PLANTS
        },
        "clean_tables_accused": _rate([bool(s.said) for s in clean]),
        "accused_by_table": {
            name: _rate([bool(s.said) for s in clean if s.table == name]) for name in TABLES
        },
        "accused_of": dict(Counter(kind for s in clean for kind in s.said)),
        "planted_tables_with_another_column_named": _rate([s.other_column for s in planted]),
        "missed_at_full_strength": dict(
            Counter(f"{s.kind} in {s.table}" for s in full if not s.hit).most_common()
        ),
    }


def _rate(hits: list[bool]) -> list[float]:
    """Share and number of cases."""
    return [round(sum(hits) / max(1, len(hits)), 4), len(hits)]


def write(folder: Path, first: int, last: int) -> None:
    """Every case as CSV beside a list of what is in which file."""
    folder.mkdir(parents=True, exist_ok=True)
    listed = []
    for number, (seed, clean, planted) in enumerate(cases(first, last)):
        case = planted.clean if planted else clean
        case.frame.to_csv(folder / f"{number}.csv", index=False)
        listed.append(
            {
                "file": f"{number}.csv",
                "seed": seed,
                "table": clean.name,
                "target": clean.target,
                "regression": clean.regression,
                "kind": planted.kind if planted else "",
                "strength": planted.strength if planted else "",
                "column": planted.column if planted else "",
            }
        )
    (folder / "cases.json").write_text(json.dumps(listed, indent=1))


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--seeds", type=int, nargs=2, default=(1000, 1100), metavar=("FIRST", "END"))
    options.add_argument("--write", type=Path, metavar="FOLDER")
    options.add_argument("--processes", type=int, default=2)
    options.add_argument("-o", default=str(Path(__file__).parent / "results" / "leaks.json"))
    chosen = options.parse_args()
    if chosen.write:
        write(chosen.write, *chosen.seeds)
        return
    text = json.dumps(measure(*chosen.seeds, chosen.processes), indent=1)
    print(text)
    if chosen.o != "-":
        Path(chosen.o).write_text(text + "\n")


if __name__ == "__main__":
    main()
