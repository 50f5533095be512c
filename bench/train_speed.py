"""What an epoch costs: Etude's loop beside loops written by hand, paired in one process, in CPU seconds.

    python bench/train_speed.py [--repeats 7] [--only WORK ...]

Every loop makes the same measurements after each epoch: loss and metrics of validation and of a sample of
train as large, in blocks of 256 rows. ``unmeasured`` leaves out the per-step gradient norm and finiteness check;
``etude`` also digests its parts and keeps checkpoints.
Imports are not counted: all loops run warm, in alternating order, and a ratio is taken within each repeat.
Peak memory is that of a process that imports torch, reads the parts from a file and runs one loop.
Writes bench/results/train_speed.json, and keeps there the works that are not measured this time.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from etude.evaluation import metrics as evaluation
from etude.experiment import Network, Train
from etude.networks.build import build
from etude.networks.sizes import Sizes
from etude.steps.train import part
from etude.store import Ref, Store
from etude.training import fitting as training
from etude.training.checkpoint import Checkpoints
from etude.training.fitting import Part

RESULTS = Path(__file__).parent / "results" / "train_speed.json"
BLOCK_ROWS = 256


@dataclass(frozen=True)
class Work:
    name: str
    rows: int
    columns: int
    classes: int
    validation_rows: int
    hidden: tuple[int, ...]
    dropout: float
    batch_size: int
    epochs: int
    side: int = 0  # of an image, whose cells the columns are

    @property
    def sizes(self) -> Sizes:
        image = (1, self.side, self.side) if self.side else None
        return Sizes(self.columns, (), self.classes, "classification", image)

    def parts(self) -> tuple[Part, Part]:
        draw = torch.Generator().manual_seed(0)
        rows = self.rows + self.validation_rows
        numbers = torch.randn(rows, self.columns, generator=draw)
        teacher = torch.randn(self.columns, self.classes, generator=draw)
        noise = torch.randn(rows, self.classes, generator=draw)
        target = (numbers @ teacher / self.columns**0.5 + noise).argmax(dim=1)
        whole = Part(numbers, torch.empty(rows, 0, dtype=torch.int64), target)
        index = torch.arange(rows)
        return whole.rows(index[: self.rows]), whole.rows(index[self.rows :])

    def settings(self) -> Train:
        return Train(epochs=self.epochs, batch_size=self.batch_size, patience=self.epochs, threads=1)


WORKS = [
    Work("50,000 x 108", 50_000, 108, 2, 10_000, (256, 256, 256), 0.1, 256, 2),
    Work("digits size", 1_797, 64, 10, 360, (256, 256, 256), 0.1, 64, 20),
    Work("4,000 images 28 x 28", 4_000, 784, 10, 800, (32, 64), 0.1, 64, 1, side=28),
    Work("500,000 x 108", 500_000, 108, 2, 50_000, (256, 256, 256), 0.1, 1024, 1),
]


def etude_loop(work: Work, train: Part, validation: Part) -> float:
    shape = Network(kind="cnn" if work.side else "mlp", hidden=work.hidden, dropout=work.dropout)
    network = build(shape, work.sizes, seed=0)
    with tempfile.TemporaryDirectory() as folder:
        fitted = training.fit(
            network,
            train,
            validation,
            task="classification",
            outputs=work.classes,
            settings=work.settings(),
            seed=0,
            checkpoints=Checkpoints(Path(folder)),
        )
    return fitted.history[-1].validation_loss


def plain_network(work: Work) -> nn.Module:
    if work.side:
        return plain_convolutions(work)
    layers: list[nn.Module] = []
    widths = [work.columns, *work.hidden]
    for inputs, units in zip(widths, work.hidden, strict=False):
        layers += [nn.Linear(inputs, units), nn.ReLU(), nn.Dropout(work.dropout)]
    return nn.Sequential(*layers, nn.Linear(widths[-1], work.classes))


def plain_convolutions(work: Work) -> nn.Module:
    layers: list[nn.Module] = [nn.Unflatten(1, (1, work.side, work.side))]
    side = work.side
    for inputs, channels in zip((1, *work.hidden), work.hidden, strict=False):
        side //= 2
        layers += [
            nn.Conv2d(inputs, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.MaxPool2d(2),
        ]
    head = nn.Linear(work.hidden[-1] * side * side, work.classes)
    return nn.Sequential(*layers, nn.Flatten(), nn.Dropout(work.dropout), head)


def plain_measure(network: nn.Module, part: Part) -> tuple[float, dict[str, float | None]]:
    network.eval()
    with torch.inference_mode():
        outputs = torch.cat([network(block) for block in torch.split(part.numbers, BLOCK_ROWS)]).double()
        loss = nn.functional.cross_entropy(outputs, part.target).item()
        shares = torch.softmax(outputs, dim=1).numpy()
    metrics = evaluation.classification_metrics(part.target.numpy(), shares, seed=None)
    return loss, {name: metric.value for name, metric in metrics.items()}


def plain_loop(
    work: Work,
    train: Part,
    validation: Part,
    batches: Callable[[], Iterable[tuple[Tensor, Tensor]]],
    *,
    measured: bool,
) -> float:
    network = plain_network(work)
    parameters = list(network.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=1e-3, weight_decay=0.01)
    sample = train.rows(torch.randperm(len(train))[: len(validation)])
    best, best_loss, best_state, history = 0, float("inf"), {}, []
    for epoch in range(1, work.epochs + 1):
        network.train()
        norms = 0.0
        for numbers, target in batches():
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(network(numbers), target)
            loss.backward()  # type: ignore[no-untyped-call]
            if measured:
                norm = torch.nn.utils.get_total_norm(
                    [p.grad for p in parameters if p.grad is not None]
                ).item()
                if not (torch.isfinite(loss) and norm < float("inf")):
                    raise RuntimeError("diverged")
                norms += norm
            optimizer.step()
        train_loss, train_metrics = plain_measure(network, sample)
        loss_now, metrics = plain_measure(network, validation)
        weight_norm = torch.nn.utils.get_total_norm([p.detach() for p in parameters]).item()
        history.append((train_loss, train_metrics, loss_now, metrics, norms, weight_norm))
        if loss_now < best_loss:
            best, best_loss = epoch, loss_now
            best_state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    network.load_state_dict(best_state)
    assert best > 0
    return loss_now


def bare_loop(work: Work, train: Part, validation: Part, *, measured: bool = True) -> float:
    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        for index in torch.split(torch.randperm(len(train)), work.batch_size):
            yield train.numbers.index_select(0, index), train.target.index_select(0, index)

    return plain_loop(work, train, validation, batches, measured=measured)


def unmeasured_loop(work: Work, train: Part, validation: Part) -> float:
    return bare_loop(work, train, validation, measured=False)


def loader_loop(work: Work, train: Part, validation: Part) -> float:
    loader = DataLoader(TensorDataset(train.numbers, train.target), batch_size=work.batch_size, shuffle=True)
    return plain_loop(work, train, validation, lambda: loader, measured=True)


LOOPS = {"etude": etude_loop, "bare": bare_loop, "unmeasured": unmeasured_loop, "DataLoader": loader_loop}


def measure(work: Work, repeats: int) -> dict[str, object]:
    """Medians of the CPU seconds an epoch and of the ratios to ``bare`` within each repeat."""
    train, validation = work.parts()
    seconds: dict[str, list[float]] = {name: [] for name in LOOPS}
    losses = {name: loop(work, train, validation) for name, loop in LOOPS.items()} if repeats > 1 else {}
    for repeat in range(repeats):
        names = list(LOOPS)
        for name in names[repeat % len(names) :] + names[: repeat % len(names)]:
            start = time.process_time()
            losses[name] = LOOPS[name](work, train, validation)
            seconds[name].append((time.process_time() - start) / work.epochs)
    ratios = {
        name: median(s / b for s, b in zip(seconds[name], seconds["bare"], strict=True)) for name in LOOPS
    }
    medians = {name: median(s) for name, s in seconds.items()}
    print(f"{work.name}: batch {work.batch_size}, {work.epochs} epochs, median of {repeats}")
    for name in LOOPS:
        print(
            f"  {name:11} {medians[name]:8.4f} CPU s an epoch   {ratios[name]:5.2f} x bare"
            f"   validation loss {losses[name]:.4f}"
        )
    return {"cpu_seconds_per_epoch": medians, "ratio_to_bare": ratios, "repeats": repeats, "all": seconds}


def peak(work: Work) -> dict[str, object]:
    """MiB of resident memory at its highest (Linux), each loop in a process of its own; ``torch``: without a row."""
    with tempfile.TemporaryDirectory() as folder:
        store, refs = Store(Path(folder) / "store"), []
        for name, rows in zip(("train", "validation"), work.parts(), strict=True):
            path = Path(folder) / name
            save_file({"numbers": rows.numbers, "categories": rows.categories, "target": rows.target}, path)
            refs.append(store.put(path.read_bytes()).sha256)
        command = [sys.executable, __file__, "--peak-of", work.name, folder, *refs]
        found = {}
        for name in ("torch", "bare", "etude"):
            told = subprocess.run([*command, name], capture_output=True, text=True, check=True)
            found[name] = float(told.stdout.split()[-1])
    ratio = found["etude"] / found["bare"]
    print(f"  peak memory {found['etude']:.0f} MiB   {ratio:.2f} x bare ({found['bare']:.0f} MiB)")
    return {"mib": found, "ratio_to_bare": ratio}


def told_peak(work: Work, folder: str, train: str, validation: str, loop: str) -> None:
    if loop == "bare":
        loaded = [load_file(Path(folder) / name) for name in ("train", "validation")]
        bare_loop(work, *(Part(t["numbers"], t["categories"], t["target"]) for t in loaded))
    elif loop == "etude":
        store = Store(Path(folder) / "store")
        etude_loop(work, *(part(store, Ref(sha256, 0)) for sha256 in (train, validation)))
    # Not ru_maxrss, which begins with the parent's.
    status = Path("/proc/self/status").read_text()
    print(float(status.partition("VmHWM:")[2].split()[0]) / 1024)


def machine() -> dict[str, object]:
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "system": f"{platform.system()} {platform.machine()}",
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "cores": os.cpu_count(),
        "threads": 1,
    }


def main() -> None:
    by_name = {work.name: work for work in WORKS}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--only", nargs="*", default=list(by_name), choices=list(by_name))
    parser.add_argument("--peak-of", nargs=5, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    if arguments.peak_of:
        told_peak(by_name[arguments.peak_of[0]], *arguments.peak_of[1:])
        return
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"works": {}}
    results["machine"] = machine()
    for name in arguments.only:
        results["works"][name] = {**measure(by_name[name], arguments.repeats), "peak": peak(by_name[name])}
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
