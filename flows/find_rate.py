"""What ``etude find-lr`` does. Imported when it runs, never for ``--help``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.markup import escape

from etude import experiment_file
from etude.files import write_atomically
from flows.commands import check_source
from flows.terminal import console


def find_learning_rate(
    file: Path, overrides: tuple[str, ...], output: Path | None, *, as_json: bool
) -> dict[str, Any]:
    """Collect to encode and 120 steps, without a run; the picture is written beside the caller."""
    from etude.report.rate_figure import rate_curve
    from etude.steps.clean import clean
    from etude.steps.collect import collect
    from etude.steps.encode import encode
    from etude.steps.split import split
    from etude.steps.train import built, chosen, part
    from etude.store import Store
    from etude.training.objective import outputs_of
    from etude.training.rate_finder import find_rate

    experiment = experiment_file.load(file, overrides)
    check_source(experiment, file)
    data, seed = experiment.data, experiment.seed
    with TemporaryDirectory() as temporary:
        store = Store(Path(temporary))
        collected = collect(store, data, experiment.split, str(file.parent.absolute())).outputs
        cleaned = clean(store, collected, data, experiment.clean).outputs
        parts = split(store, cleaned, data, experiment.split, seed).outputs
        encodings = encode(store, cleaned, parts, data, experiment.split, seed).outputs
        settings = chosen(encodings, experiment.network, experiment.train).train
        encodings = replace(encodings, outputs=outputs_of(settings, encodings.outputs))
        network = built(encodings, experiment.network, experiment.train, seed)
        train = part(store, encodings.train)
    found = find_rate(
        network, train, task=encodings.task, outputs=encodings.outputs, settings=settings, seed=seed
    )
    path = output or Path(f"{file.stem}.find-lr.png")
    write_atomically(path, rate_curve(found.rates, found.losses, found.suggestion))
    out = console(json=as_json)
    out.print(
        f"the loss falls fastest at a learning rate of [bold]{found.suggestion:.2g}[/bold], see {escape(str(path))}"
    )
    out.print(
        f"[bold]next:[/bold]\n  etude run {escape(str(file))} --set train.learning_rate={found.suggestion:.2g}"
    )
    return {
        "learning_rate": found.suggestion,
        "rates": list(found.rates),
        "losses": list(found.losses),
        "picture": str(path),
    }
