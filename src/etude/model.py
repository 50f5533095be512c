"""The trained model as a whole: raw rows in, predictions out. A folder without a pickle, loadable anywhere.

``model.json`` holds the format, the schema and the network's shape; ``encoder.safetensors`` and
``weights.safetensors`` what was learned. MLflow loads the same folder through ``_load_pyfunc``.
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

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa
    import torch

    from etude.columns.schema import Schema
    from etude.encoding.encoder import Encoder
    from etude.experiment import Network

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

    def predict(self, rows: pd.DataFrame) -> pd.DataFrame:
        """One row each: ``prediction`` (the label's text, or the value in the target's unit) and, for classes,
        ``probability_<label>``, for a quantile loss ``quantile_<share>``; a row's answer is the same in any company.

        A cell that cannot be read as its column's kind (a word between numbers, a 31 February) counts as missing, as
        an empty one does, and an ``UnreadableCellsWarning`` names each such column with the number of its cells and
        the first row. Raises DataError E044 naming the columns that are missing, E073 for a column of instants with
        time zones where there were none, or the other way round.
        """
        import pandas as pd

        table = self.parsed(rows)
        outputs = self.outputs(table)
        target = self.encoder.target
        if target.task == "regression":
            frame = pd.DataFrame({"prediction": in_unit(outputs, target)}, index=rows.index)
            for i, share in enumerate(self.quantiles[1:], start=1):
                frame[f"quantile_{share:g}"] = in_unit(outputs[:, i:], target)
            return frame
        shares = probabilities(outputs)
        labels = pd.Series(target.labels, dtype=object)
        frame = pd.DataFrame({"prediction": labels.take(shares.argmax(axis=1)).to_numpy()}, index=rows.index)
        for i, label in enumerate(target.labels):
            frame[f"probability_{label}"] = shares[:, i]
        return frame

    def parsed(self, rows: pd.DataFrame) -> pa.Table:
        """The canonical table of the columns that the encoder reads; infinite numbers are missing, as in training."""
        from etude.columns import parsing

        needed = [column.name for column in self.encoder.columns]
        missing = [name for name in needed if name not in rows.columns]
        if missing:
            raise DataError(
                "E044",
                "every column that the model was trained on must be there",
                where=f"missing: {', '.join(map(shown, missing[:10]))}",
                mend=f"add the columns; empty cells are allowed; {nearest(missing[0], list(map(str, rows.columns)))}",
            )
        parsed = parsing.parse(parsing.from_frame(rows[needed]), self.schema, needed, lenient=True)
        self._warn(parsed.counts, len(rows))
        table = parsed.table
        for place, name in enumerate(table.column_names):
            table = table.set_column(place, name, without_infinite(table.column(name))[0])
        return table

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


def probabilities(outputs: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Softmax over the outputs, in float64, rows sum to 1."""
    import numpy as np

    shifted = outputs.astype(np.float64) - outputs.max(axis=1, keepdims=True)
    powers = np.exp(shifted)
    shares: np.ndarray[Any, np.dtype[np.float64]] = powers / powers.sum(axis=1, keepdims=True)
    return shares


def in_unit(outputs: np.ndarray[Any, Any], target: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Standardised outputs back in the target's own unit, float64[n]."""
    values: np.ndarray[Any, np.dtype[np.float64]] = (
        outputs[:, 0].astype("float64") * target.scale + target.mean
    )
    return values


def folder_files(
    schema: Schema,
    encoder: bytes,
    weights: bytes,
    network: Network,
    sizes: Mapping[str, Any],
    threads: int,
    *,
    private: bool = False,
) -> dict[str, bytes]:
    """The files of a model folder by name. A ``private`` model's warnings show no value of the rows either."""
    described = {
        "format": FORMAT_VERSION,
        "schema": schema.to_json(),
        "network": network.model_dump(mode="json"),
        "sizes": dict(sizes),
        "threads": threads,
        "private": private,
    }
    return {
        "model.json": json.dumps(described, ensure_ascii=False, indent=1).encode(),
        "encoder.safetensors": encoder,
        "weights.safetensors": weights,
    }


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
    network = networks.build(Network(**described["network"]), sizes, seed=0)
    network.load_state_dict(weights.from_bytes(files["weights.safetensors"]))
    network.eval()
    return Model(
        Schema.from_json(described["schema"]),
        Encoder.from_bytes(files["encoder.safetensors"]),
        network,
        described["threads"],
        tuple(described["sizes"].get("quantiles", ())),
        described.get("private", False),
    )


def load(folder: Path) -> Model:
    """The model in ``folder``."""
    return from_files({path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()})


class PyFunc:
    """What ``mlflow.pyfunc.load_model`` gives: ``predict(rows)``."""

    def __init__(self, model: Model) -> None:
        self.model = model

    def predict(self, rows: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        return self.model.predict(rows)


def _load_pyfunc(path: str) -> PyFunc:
    """MLflow's entry for ``loader_module: etude.model``."""
    return PyFunc(load(Path(path)))
