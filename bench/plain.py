"""What `etude run` is measured against: the same training written by hand with torch and MLflow.

Frozen: written once, as a careful engineer would, and not tuned since, so that ratios stay comparable.

    python bench/plain.py TABLE.csv     # tracks into sqlite:///mlflow.db in the current folder
"""

from __future__ import annotations

import copy
import json
import sys
from importlib.metadata import version
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import mlflow
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from mlflow.models import infer_signature
from sklearn.metrics import ConfusionMatrixDisplay, accuracy_score, log_loss, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

TARGET = "target"
Array = np.ndarray[Any, np.dtype[np.float32]]
PARAMS: dict[str, Any] = {
    "seed": 0,
    "test_share": 0.2,
    "validation_share": 0.2,
    "hidden": 64,
    "layers": 2,
    "dropout": 0.1,
    "learning_rate": 1e-3,
    "batch_size": 32,
    "epochs": 10,
    "patience": 10,
}


class Classifier(nn.Module):
    """Raw features to one logit; the scaler's numbers are part of the model, so that they travel with it."""

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, scaler: StandardScaler, hidden: int, dropout: float) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(scaler.mean_, dtype=torch.float32))
        self.register_buffer("scale", torch.tensor(scaler.scale_, dtype=torch.float32))
        self.layers = nn.Sequential(
            nn.Linear(len(scaler.mean_), hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, 1),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.layers((x - self.mean) / self.scale)
        return logits.squeeze(-1)


def read_clean(path: str) -> tuple[pd.DataFrame, dict[str, float]]:
    raw = pd.read_csv(path)
    labelled = raw.dropna(subset=[TARGET])
    clean = labelled.drop_duplicates()
    counts: dict[str, float] = {
        "clean/rows_without_target": len(raw) - len(labelled),
        "clean/duplicate_rows": len(labelled) - len(clean),
        "clean/rows": len(clean),
    }
    return clean, counts


def split(frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    rest, test = train_test_split(
        frame, test_size=PARAMS["test_share"], stratify=frame[TARGET], random_state=PARAMS["seed"]
    )
    share_of_rest = PARAMS["validation_share"] / (1 - PARAMS["test_share"])
    train, validation = train_test_split(
        rest, test_size=share_of_rest, stratify=rest[TARGET], random_state=PARAMS["seed"]
    )
    return train, validation, test


def arrays(frame: pd.DataFrame) -> tuple[Array, Array]:
    features = frame.drop(columns=TARGET).to_numpy(dtype=np.float32)
    return features, frame[TARGET].to_numpy(dtype=np.float32)


@torch.no_grad()
def evaluate(model: Classifier, x: Array, y: Array) -> tuple[Array, dict[str, float]]:
    model.eval()
    probabilities = torch.sigmoid(model(torch.from_numpy(x))).numpy()
    return probabilities, {
        "loss": log_loss(y, probabilities),
        "accuracy": accuracy_score(y, probabilities >= 0.5),
        "roc_auc": roc_auc_score(y, probabilities),
    }


def train_epoch(model: Classifier, optimizer: torch.optim.Optimizer, batches: DataLoader[Any]) -> float:
    model.train()
    total, rows = 0.0, 0
    for x, y in batches:
        optimizer.zero_grad()
        loss = nn.functional.binary_cross_entropy_with_logits(model(x), y)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        total += loss.item() * len(x)
        rows += len(x)
    return total / rows


def fit(
    model: Classifier, train: tuple[Array, Array], validation: tuple[Array, Array]
) -> list[dict[str, float]]:
    """Leaves the weights of the best epoch in the model."""
    dataset = TensorDataset(torch.from_numpy(train[0]), torch.from_numpy(train[1]))
    generator = torch.Generator().manual_seed(PARAMS["seed"])
    batches = DataLoader(dataset, batch_size=PARAMS["batch_size"], shuffle=True, generator=generator)
    optimizer = torch.optim.AdamW(model.parameters(), lr=PARAMS["learning_rate"])

    history: list[dict[str, float]] = []
    best_loss, best_epoch, best_weights = float("inf"), 0, copy.deepcopy(model.state_dict())
    for epoch in range(1, PARAMS["epochs"] + 1):
        train_loss = train_epoch(model, optimizer, batches)
        _, scores = evaluate(model, *validation)
        metrics = {"train/loss": train_loss, **{f"validation/{name}": v for name, v in scores.items()}}
        mlflow.log_metrics(metrics, step=epoch)  # one log_batch
        history.append(metrics)
        if scores["loss"] < best_loss:
            best_loss, best_epoch, best_weights = scores["loss"], epoch, copy.deepcopy(model.state_dict())
        elif epoch - best_epoch >= PARAMS["patience"]:
            break
    model.load_state_dict(best_weights)
    mlflow.log_metric("best_epoch", best_epoch)
    return history


def learning_curve(history: list[dict[str, float]]) -> Figure:
    figure, axes = plt.subplots()
    epochs = range(1, len(history) + 1)
    for key in ("train/loss", "validation/loss"):
        axes.plot(epochs, [metrics[key] for metrics in history], label=key)
    axes.set(xlabel="epoch", ylabel="loss")
    axes.legend()
    return figure


def main(path: str) -> None:
    mpl.use("agg")
    torch.manual_seed(PARAMS["seed"])
    mlflow.set_tracking_uri("sqlite:///mlflow.db")
    mlflow.set_experiment("breast_cancer_plain")
    with mlflow.start_run() as run:
        mlflow.log_params(PARAMS)
        frame, counts = read_clean(path)
        mlflow.log_metrics(counts)
        train, validation, test = (arrays(part) for part in split(frame))

        model = Classifier(StandardScaler().fit(train[0]), PARAMS["hidden"], PARAMS["dropout"])
        history = fit(model, train, validation)
        mlflow.log_figure(learning_curve(history), "learning_curve.png")

        probabilities, scores = evaluate(model, *test)
        metrics = {f"test/{name}": value for name, value in scores.items()}
        mlflow.log_metrics(metrics)
        display = ConfusionMatrixDisplay.from_predictions(test[1], probabilities >= 0.5)
        mlflow.log_figure(display.figure_, "confusion_matrix.png")

        example = train[0][:5]
        with torch.no_grad():
            signature = infer_signature(example, model(torch.from_numpy(example)).numpy())
        mlflow.pytorch.log_model(
            model,
            name="model",
            signature=signature,
            input_example=example,
            pip_requirements=[f"{name}=={version(name)}" for name in ("mlflow", "torch", "numpy")],
        )
    print(json.dumps({"run_id": run.info.run_id, "metrics": metrics}))


if __name__ == "__main__":
    main(sys.argv[1])
