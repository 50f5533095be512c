"""The trained model as a whole: raw rows in, predictions out. A folder without a pickle, loadable anywhere.

``model.json`` holds the format, the schema and the network's shape; ``encoder.safetensors`` and
``weights.safetensors`` what was learned; ``network.json`` the sources of a user's own network; ``profile.json`` what
the train rows looked like. MLflow loads the same folder through ``_load_pyfunc``.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from etude.cleaning import without_infinite
from etude.errors import DataError, EtudeError, nearest, shown
from etude.evaluation.decision import PLAIN, Decision

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa
    import torch

    from etude.columns.schema import Schema
    from etude.encoding.encoder import Encoder
    from etude.experiment import Network
    from etude.served import PyFunc

FORMAT_VERSION = 1


class UnreadableCellsWarning(UserWarning):
    """Cells that are not of their column's kind, which a model takes for missing."""


@dataclass(frozen=True)
class Model:
    """``predict`` takes rows as they come from the source: any column order, further columns are ignored."""

    schema: Schema
    encoder: Encoder
    network: torch.nn.Module
    threads: int
    quantiles: tuple[float, ...] = ()
    private: bool = False
    profile: Mapping[str, Any] | None = None
    decision: Decision = PLAIN

    def predict(self, rows: pd.DataFrame) -> pd.DataFrame:
        """One row each: ``prediction`` (the label's text, or the value in the target's unit) and, for classes,
        ``probability_<label>``; for numbers ``low`` and ``high`` of the prediction interval (if validation had rows
        for one), for a quantile loss ``quantile_<share>``. A row's answer is the same in any company.

        A cell that cannot be read as its column's kind (a word between numbers, a 31 February) counts as missing, as
        an empty one does, and an ``UnreadableCellsWarning`` names each such column with the number of its cells and
        the first row. Raises DataError E044 naming the columns that are missing, E073 for a column of instants with
        time zones where there were none, or the other way round.
        """
        return self.answers(self.outputs(self.parsed(rows)), rows.index)

    def answers(
        self, outputs: np.ndarray[Any, np.dtype[np.float32]], index: pd.Index[Any] | None = None
    ) -> pd.DataFrame:
        """What ``predict`` says of rows with these outputs of the network."""
        import pandas as pd

        target = self.encoder.target
        if target.task == "regression":
            frame = pd.DataFrame({"prediction": target.restore(outputs[:, 0])}, index=index)
            if bounds := self.decision.bounds(outputs):
                frame["low"], frame["high"] = (target.restore(ends) for ends in bounds)
            for i, share in enumerate(self.quantiles[1:], start=1):
                frame[f"quantile_{share:g}"] = target.restore(outputs[:, i])
            return frame
        shares = self.decision.probabilities(outputs)
        labels = pd.Series(target.labels, dtype=object).take(self.decision.labels(shares))
        frame = pd.DataFrame({"prediction": labels.to_numpy()}, index=index)
        for i, label in enumerate(target.labels):
            frame[f"probability_{label}"] = shares[:, i]
        return frame

    @property
    def inputs(self) -> tuple[str, ...]:
        """The raw columns that it looks at."""
        return tuple(column.name for column in self.encoder.columns)

    def parsed(self, rows: pd.DataFrame) -> pa.Table:
        """The canonical table of the columns that the encoder reads; infinite numbers are missing, as in training."""
        from etude.columns import parsing

        self.check_columns(list(map(str, rows.columns)))
        table, counts = self.read(parsing.from_frame(rows.loc[:, rows.columns.isin(self.inputs)]))
        self._warn(counts, len(rows))
        return table

    def read(self, raw: pa.Table) -> tuple[pa.Table, Mapping[str, Any]]:
        """The canonical table of raw columns of any type, and what was done to cells (``etude.columns.parsing``)."""
        from etude.columns import parsing

        self.check_columns(raw.column_names)
        parsed = parsing.parse(raw, self.schema, self.inputs, lenient=True)
        table = parsed.table
        for place, name in enumerate(table.column_names):
            table = table.set_column(place, name, without_infinite(table.column(name))[0])
        return table, parsed.counts

    def check_columns(self, there: list[str]) -> None:
        """Raises DataError E044 naming the columns that are missing."""
        missing = [name for name in self.inputs if name not in there]
        if missing:
            raise DataError(
                "E044",
                "every column that the model was trained on must be there",
                where=f"missing: {', '.join(map(shown, missing[:10]))}",
                mend=f"add the columns; empty cells are allowed{_renamed(missing[0], there)}",
            )

    def _warn(self, counts: Mapping[str, Any], rows: int) -> None:
        said = []
        for name, found in counts.items():
            if bad := found.get("unreadable"):
                value = "" if self.private else f", found {shown(bad['value'])}"
                said.append(
                    f"column {shown(name)}: {bad['rows']:,} of {rows:,} cells are no {self.schema.column(name).kind} "
                    f"and count as missing, first in row {bad['first']}{value}"
                )
        if said:
            warnings.warn("; ".join(said), UnreadableCellsWarning, stacklevel=4)

    def outputs(self, table: pa.Table) -> np.ndarray[Any, np.dtype[np.float32]]:
        """The network's outputs for canonical rows, float32[n, outputs], the same bits for a row in any company."""
        import torch

        from etude.training import inference

        encoded = self.encoder.transform(table)
        with inference.exact(self.threads):
            found = inference.predict(
                self.network, torch.from_numpy(encoded.numbers), torch.from_numpy(encoded.categories)
            )
        array: np.ndarray[Any, np.dtype[np.float32]] = found.numpy()
        return array


def folder_files(
    schema: Schema,
    encoder: bytes,
    weights: bytes,
    network: Network,
    sizes: Mapping[str, Any],
    threads: int,
    *,
    decision: Decision = PLAIN,
    private: bool = False,
    sources: Mapping[str, str] | None = None,
    profile: Mapping[str, Any] | None = None,
) -> dict[str, bytes]:
    """The files of a model folder by name. A ``private`` model's warnings show no value of the rows either.

    ``sources`` are those of the user's own network, ``profile`` is that of the train rows.
    """
    described = {
        "format": FORMAT_VERSION,
        "schema": schema.to_json(),
        "network": network.model_dump(mode="json"),
        "sizes": dict(sizes),
        "threads": threads,
        "private": private,
        "decision": decision.to_json(),
    }
    texts = {"model.json": described, "network.json": dict(sources or {}), "profile.json": profile}
    files = {
        name: json.dumps(value, ensure_ascii=False, indent=1).encode()
        for name, value in texts.items()
        if value
    }
    return files | {"encoder.safetensors": encoder, "weights.safetensors": weights}


def from_files(files: Mapping[str, bytes]) -> Model:
    """The model of a folder's files. Raises EtudeError E130 for a format that this version does not read."""
    from etude.columns.schema import Schema
    from etude.encoding.encoder import Encoder
    from etude.experiment import Network
    from etude.networks import build as networks
    from etude.networks.sizes import Sizes
    from etude.training import weights

    described = json.loads(files["model.json"])
    if described["format"] != FORMAT_VERSION:
        raise EtudeError(
            "E130",
            f"the model's format must be {FORMAT_VERSION}",
            value=described["format"],
            mend="use a newer Etude",
        )
    sizes = Sizes.from_json(described["sizes"])
    sources = json.loads(files.get("network.json", b"{}"))
    network = networks.build(Network(**described["network"]), sizes, seed=0, sources=sources)
    network.load_state_dict(weights.from_bytes(files["weights.safetensors"]))
    network.eval()
    return Model(
        Schema.from_json(described["schema"]),
        Encoder.from_bytes(files["encoder.safetensors"]),
        network,
        described["threads"],
        tuple(described["sizes"].get("quantiles", ())),
        described.get("private", False),
        json.loads(files["profile.json"]) if "profile.json" in files else None,
        Decision.from_json(described.get("decision", {})),
    )


def load(folder: Path) -> Model:
    """The model in ``folder``. Raises EtudeError E130 when it is none or not whole."""
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    missing = {"model.json", "encoder.safetensors", "weights.safetensors"} - files.keys()
    if missing:
        raise EtudeError(
            "E130", "a model's folder must be whole", where=str(folder), value=f"no {min(missing)}"
        )
    return from_files(files)


def _load_pyfunc(path: str) -> PyFunc:
    """MLflow's entry for ``loader_module: etude.model``."""
    from etude.served import PyFunc

    return PyFunc(load(Path(path)))


def _renamed(missing: str, there: list[str]) -> str:
    """A column whose name is nearly the missing one's."""
    hint = nearest(missing, there)
    return f"; {hint}" if hint.startswith("did you mean") else ""
