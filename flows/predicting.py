"""What ``etude predict`` checks before it starts, and what it prints."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from etude import experiment_file
from etude.home import home
from flows.terminal import console, safe, shown_on

if TYPE_CHECKING:
    from etude.experiment import Data


def predict_table(
    model: str,
    source: str,
    output: str,
    keys: tuple[str, ...],
    overrides: tuple[str, ...],
    *,
    stop_on_drift: bool,
    as_json: bool,
) -> dict[str, Any]:
    """The flow ``predict``; its JSON."""
    from etude.prediction.writing import STDOUT, check_output

    data = data_of(source, overrides)
    check_output(output, input_files(source))
    from tasks.prefect_api import start_early

    start_early(home() / "prefect")
    from flows.predict import predict

    out = console(json=as_json or output == STDOUT)
    with shown_on(out):
        found = predict(model, data, output, keys, stop_on_drift)
    out.print(f"[bold]wrote:[/bold] {found.rows:,} rows to {safe(output)}", soft_wrap=True)
    out.print(f"[bold]run:[/bold] {found.run_id}, drift: {found.drift}", soft_wrap=True)
    return found.as_json()


def data_of(source: str, overrides: tuple[str, ...]) -> Data:
    """How the table is read. Raises ExperimentError E101 for a key that does not exist."""
    keys = {"target": "(none)", **experiment_file.keys_of_data(overrides), "source": source}
    return experiment_file.checked({"name": "predict", "data": keys}, where="predict").data


def input_files(source: str) -> list[Path]:
    """The local files that a source names; none for what is no path."""
    if "://" in source and not source.startswith("file://"):
        return []
    path = Path(source.removeprefix("file://"))
    if path.is_dir():
        return [entry for entry in path.iterdir() if entry.is_file()]
    if any(c in source for c in "*?[") and not path.exists():
        from etude.reading.many_files import files_of_pattern

        return files_of_pattern(source, Path())
    return [path]
