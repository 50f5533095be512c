"""The planted tables of ``leaks.py`` under Deepchecks, in an environment of its own (its versions are not ours).

    python bench/leaks.py --write FOLDER --seeds 1000 1002
    DC/bin/pip install deepchecks "scikit-learn<1.6" "numpy<2" "pandas<2.3" "scipy<1.14" "setuptools<80"
    DC/bin/python bench/leaks_deepchecks.py FOLDER bench/results/leaks_deepchecks.json

Its checks about leaks run with their default conditions on a random split; a condition that does not pass
is an alarm. It is told the label, and the planted id or date column as index or datetime.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any


def alarms(frame: Any, case: dict[str, Any]) -> set[str]:
    """Names of the checks whose condition fails."""
    import numpy as np
    from deepchecks.tabular import Dataset, checks

    place = np.random.default_rng(case["seed"]).permutation(len(frame))
    cut = int(0.8 * len(frame))
    parts = [frame.iloc[place[:cut]].reset_index(drop=True), frame.iloc[place[cut:]].reset_index(drop=True)]
    kwargs: dict[str, Any] = {
        "label": case["target"],
        "label_type": "regression" if case["regression"] else "multiclass",
    }
    if case["kind"] == "id":
        kwargs["index_name"] = case["column"]
    if case["kind"] == "time":
        kwargs["datetime_name"] = case["column"]
    train, test = (Dataset(part, **kwargs) for part in parts)
    single = [
        checks.FeatureLabelCorrelation().add_condition_feature_pps_less_than(),
        checks.IdentifierLabelCorrelation().add_condition_pps_less_or_equal(),
        checks.DataDuplicates().add_condition_ratio_less_or_equal(),
        checks.ConflictingLabels().add_condition_ratio_of_conflicting_labels_less_or_equal(),
    ]
    double = [
        checks.TrainTestSamplesMix().add_condition_duplicates_ratio_less_or_equal(),
        checks.IndexTrainTestLeakage().add_condition_ratio_less_or_equal(),
        checks.DateTrainTestLeakageOverlap().add_condition_leakage_ratio_less_or_equal(),
        checks.DateTrainTestLeakageDuplicates().add_condition_leakage_ratio_less_or_equal(),
        checks.FeatureLabelCorrelationChange().add_condition_feature_pps_in_train_less_than(),
    ]
    failed = set()
    for check in (*single, *double):
        try:
            result = check.run(train) if check in single else check.run(train, test)
        except Exception as error:
            if (
                "DeepchecksNotSupported" in type(error).__name__
                or "DatasetValidation" in type(error).__name__
            ):
                continue
            failed.add(f"error {type(check).__name__} {type(error).__name__}")
            continue
        if not result.passed_conditions():
            failed.add(type(check).__name__)
    return failed


def main(folder: Path, output: Path) -> None:
    import pandas as pd

    warnings.simplefilter("ignore")
    rows = []
    started = time.process_time()
    for case in json.loads((folder / "cases.json").read_text()):
        frame = pd.read_csv(folder / case["file"])
        rows.append({**case, "failed": sorted(alarms(frame, case))})
    errors = Counter(name for row in rows for name in row["failed"] if name.startswith("error"))
    said = [(row, [n for n in row["failed"] if not n.startswith("error")]) for row in rows]
    kinds = sorted({row["kind"] for row in rows} - {""})
    report = {
        "tables": len(rows),
        "cpu_seconds_a_table": round((time.process_time() - started) / max(1, len(rows)), 3),
        "alarm": {
            s: rate([bool(n) for r, n in said if r["strength"] == s]) for s in ("full", "half", "weak")
        },
        "alarm_by_kind_at_full": {
            k: rate([bool(n) for r, n in said if (r["kind"], r["strength"]) == (k, "full")]) for k in kinds
        },
        "clean_tables_accused": rate([bool(n) for r, n in said if not r["kind"]]),
        "accused_of": dict(Counter(name for r, n in said if not r["kind"] for name in n)),
        "checks_that_raised": dict(errors),
    }
    output.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report, indent=1))


def rate(hits: list[bool]) -> list[float]:
    return [round(sum(hits) / max(1, len(hits)), 4), len(hits)]


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
