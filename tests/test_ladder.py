from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from etude.causes import Cause
from etude.identity import packages
from etude.ladder import Evidence, folded, judge, ladder

BEFORE = Evidence(
    digests={s: s * 2 for s in ("snapshot", "split", "encoder", "initial_weights", "weights", "predictions")},
    losses=[(0.5, 0.6), (0.4, 0.5), (0.3, 0.45)],
    metrics={"test/accuracy": 0.9},
    outputs=np.array([[0.1, 0.9], [0.8, 0.2]], dtype=np.float32),
)


def digests(**changed: str) -> dict[str, str]:
    return {**BEFORE.digests, **changed}


def test_equal_evidence_is_identical() -> None:
    verdict = judge(BEFORE, BEFORE, [], "classification")
    assert verdict.verdict == "IDENTICAL"
    assert verdict.sentence == "All 10 stages have the same bits."


def test_drift_that_changed_no_bit_is_still_said() -> None:
    verdict = judge(BEFORE, BEFORE, [Cause("package", "numpy 1 -> 2")], "classification")
    assert verdict.verdict == "IDENTICAL"
    assert verdict.sentence.endswith("although this changed: package: numpy 1 -> 2.")


CHANGES: list[tuple[dict[str, Any], str]] = [
    ({"digests": digests(snapshot="other", weights="other")}, "snapshot"),
    ({"digests": digests(split="other")}, "split"),
    ({"digests": digests(encoder="other")}, "encoder"),
    ({"digests": digests(initial_weights="other")}, "initial_weights"),
    ({"losses": [(0.5, 0.6), (0.4, 0.7), (0.3, 0.45)]}, "epoch 2"),
    ({"losses": BEFORE.losses[:2]}, "epoch 3"),
    ({"digests": digests(weights="other"), "outputs": BEFORE.outputs[::-1]}, "weights"),
    ({"digests": digests(predictions="other"), "outputs": BEFORE.outputs[::-1]}, "predictions"),
    ({"metrics": {"test/accuracy": 0.91}}, "metrics"),
]


@pytest.mark.parametrize(("change", "stage"), CHANGES, ids=[stage for _, stage in CHANGES])
def test_the_first_stage_that_differs_is_named(change: dict[str, Any], stage: str) -> None:
    verdict = judge(BEFORE, replace(BEFORE, **change), [Cause("code", "a.py, 1 line")], "classification")
    if stage in ("epoch 2", "epoch 3", "weights", "predictions", "metrics"):
        assert verdict.verdict == "DIFFERENT"
    assert verdict.evidence["first_difference"] == stage
    assert verdict.sentence.endswith("Likely cause: code: a.py, 1 line.")


def test_last_bits_with_the_same_labels_are_within_tolerance() -> None:
    near = replace(
        BEFORE,
        digests=digests(weights="other", predictions="other"),
        losses=[(t * (1 + 1e-7), v) for t, v in BEFORE.losses],
        outputs=BEFORE.outputs + np.float32(1e-6),
    )
    assert judge(BEFORE, near, [], "classification").verdict == "WITHIN TOLERANCE"
    far = replace(near, losses=[(t * (1 + 1e-4), v) for t, v in BEFORE.losses])
    assert judge(BEFORE, far, [], "classification").verdict == "DIFFERENT"
    moved = replace(near, outputs=BEFORE.outputs + np.float32(1e-2))
    assert judge(BEFORE, moved, [], "regression").verdict == "DIFFERENT"


def test_equal_predictions_allow_no_other_metric() -> None:
    moved = {name: value + 1e-6 for name, value in BEFORE.metrics.items()}
    assert judge(BEFORE, replace(BEFORE, metrics=moved), [], "classification").verdict == "DIFFERENT"


def test_one_bit_of_a_loss_is_seen() -> None:
    nudged = replace(BEFORE, losses=[(np.nextafter(0.5, 1), 0.6), *BEFORE.losses[1:]])
    assert [rung.stage for rung in ladder(BEFORE, nudged) if not rung.same] == ["epoch 1"]


def test_epochs_that_agree_are_folded_for_readers() -> None:
    later = replace(BEFORE, losses=[*BEFORE.losses[:2], (0.9, 0.9)])
    stages = [rung.stage for rung in folded(ladder(BEFORE, later))]
    assert stages[4:6] == ["epochs 1-2", "epoch 3"]
    assert [rung.stage for rung in folded(ladder(BEFORE, BEFORE))][4] == "epochs 1-3"
    earlier = replace(BEFORE, losses=[BEFORE.losses[0], (0.9, 0.9), (0.8, 0.8)])
    first, rest = folded(ladder(BEFORE, earlier))[4:6]
    assert [(first.stage, first.same), (rest.stage, rest.same)] == [("epoch 1", True), ("epochs 2-3", False)]


def test_stages_that_an_older_run_did_not_write_down_are_left_out() -> None:
    newer = replace(BEFORE, digests=digests(clean="c", model="m"))
    assert all(rung.same for rung in ladder(BEFORE, newer))
    both = ladder(newer, replace(BEFORE, digests=digests(clean="c", model="other")))
    assert [rung.stage for rung in both][1] == "clean"
    assert [rung.stage for rung in both if not rung.same] == ["model"]


def test_only_likely_causes_are_named_when_there_are_some() -> None:
    causes = [Cause("code", "a.py, 1 line"), Cause("package", "rich 1 -> 2", likely=False)]
    verdict = judge(BEFORE, replace(BEFORE, digests=digests(split="other")), causes, "classification")
    assert verdict.sentence.endswith("Likely cause: code: a.py, 1 line.")
    assert [cause["likely"] for cause in verdict.evidence["causes"]] == [True, False]


def test_the_package_list_is_the_dependency_closure() -> None:
    found = packages()
    assert {
        "rtdl-revisiting-models",
        "torch",
        "prefect",
        "mlflow",
        "numpy",
        "sqlalchemy",
        "aiosqlite",
    } <= found.keys()
    assert not {"etude", "pytest", "hypothesis", "mypy"} & found.keys()
