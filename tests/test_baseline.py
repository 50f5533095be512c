from __future__ import annotations

import numpy as np
import pytest

from etude.evaluation.baseline import class_share_baseline, mean_baseline
from etude.evaluation.metrics import classification_metrics, regression_metrics


def test_class_shares_predict_the_majority_class_and_the_least_log_loss_without_features() -> None:
    train = np.array([1, 1, 1, 0, 2, 1])
    probabilities = class_share_baseline(train, 4, len(train))
    assert probabilities.tolist() == [[1 / 6, 4 / 6, 1 / 6, 0]] * 6
    metrics = classification_metrics(train, probabilities, seed=0)
    assert metrics["accuracy"].value == pytest.approx(4 / 6)
    entropy = -sum(share * np.log(share) for share in (1 / 6, 4 / 6, 1 / 6))
    assert metrics["log_loss"].value == pytest.approx(entropy)


def test_classes_of_equal_share_give_the_lowest_label_and_an_auc_of_a_half() -> None:
    labels = np.array([1, 0, 1, 0])
    probabilities = class_share_baseline(labels, 2, 4)
    assert (probabilities.argmax(axis=1) == 0).all()
    assert classification_metrics(labels, probabilities, seed=0)["roc_auc"].value == 0.5


def test_the_mean_has_an_r2_of_zero_on_its_own_rows() -> None:
    train = np.array([1.0, 2.0, 6.0])
    prediction = mean_baseline(train, 3)
    assert prediction.tolist() == [3.0, 3.0, 3.0]
    assert regression_metrics(train, prediction, seed=0)["r2"].value == pytest.approx(0)


def test_a_baseline_without_train_rows_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one train row"):
        class_share_baseline(np.zeros(0, dtype=np.int64), 2, 5)
    with pytest.raises(ValueError, match="at least one train row"):
        mean_baseline(np.zeros(0), 5)
