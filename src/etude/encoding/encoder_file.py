"""An encoder as bytes: safetensors for arrays, JSON in its metadata for the rest. No pickle."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeAlias

from etude.encoding.categories import CategoryEncoder
from etude.encoding.dates import DatetimeEncoder
from etude.encoding.numbers import NumberEncoder
from etude.encoding.pixels import PixelEncoder
from etude.encoding.text import TextEncoder
from etude.errors import DataError

if TYPE_CHECKING:
    import numpy

FORMAT_VERSION = 1

ColumnEncoder: TypeAlias = NumberEncoder | CategoryEncoder | DatetimeEncoder | TextEncoder | PixelEncoder
Arrays: TypeAlias = "dict[str, numpy.ndarray[Any, Any]]"
KINDS: dict[str, type[Any]] = {
    kind.kind: kind for kind in (NumberEncoder, CategoryEncoder, DatetimeEncoder, TextEncoder, PixelEncoder)
}


def packed(columns: Sequence[ColumnEncoder], rest: Mapping[str, Any]) -> bytes:
    """The columns and what else the encoder knows (JSON values), in one safetensors file with their digest."""
    from safetensors.numpy import save

    state, arrays = _state(columns, rest)
    return save(arrays, metadata={"encoder": _one_spelling(state | {"sha256": _sha256(state, arrays)})})


def unpacked(content: bytes) -> tuple[tuple[ColumnEncoder, ...], dict[str, Any]]:
    """What was packed. Raises DataError E130 when the bytes are damaged or of another format version."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        length = int.from_bytes(content[:8], "little")
        state = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["encoder"])
        found, version = state.pop("sha256"), state["format"]
        arrays = load(content)
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged() from error
    if version != FORMAT_VERSION:
        raise DataError("E130", f"an encoder must have format {FORMAT_VERSION}", value=version)
    if found != _sha256(state, arrays):
        raise _damaged()
    columns = tuple(_built(column, f"{i}.", arrays) for i, column in enumerate(state["columns"]))
    return columns, state["rest"]


def digest(columns: Sequence[ColumnEncoder], rest: Mapping[str, Any]) -> str:
    """sha256 of what was learned, whatever the version of safetensors."""
    return _sha256(*_state(columns, rest))


def _state(columns: Sequence[ColumnEncoder], rest: Mapping[str, Any]) -> tuple[dict[str, Any], Arrays]:
    arrays: Arrays = {}
    described = [_described(column, f"{i}.", arrays) for i, column in enumerate(columns)]
    return {"format": FORMAT_VERSION, "columns": described, "rest": dict(rest)}, arrays


def _sha256(state: dict[str, Any], arrays: Arrays) -> str:
    sha256 = hashlib.sha256(_one_spelling(state).encode())
    for name, array in sorted(arrays.items()):
        sha256.update(f"{name} {array.dtype.str} {array.shape}".encode())
        sha256.update(array.tobytes())
    return sha256.hexdigest()


def _one_spelling(state: dict[str, Any]) -> str:
    return json.dumps(state, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _damaged() -> DataError:
    return DataError("E130", "an encoder must be as it was written", mend="train again, or restore the file")


def _described(column: ColumnEncoder, prefix: str, arrays: Arrays) -> dict[str, Any]:
    """The fields as JSON; an array goes to ``arrays``, an encoder within becomes an object of its own."""
    import numpy as np

    described: dict[str, Any] = {"kind": column.kind}
    for field in fields(column):
        value = getattr(column, field.name)
        if isinstance(value, np.ndarray):
            arrays[prefix + field.name] = value
        elif isinstance(value, NumberEncoder):
            described[field.name] = _described(value, f"{prefix}{field.name}.", arrays)
        else:
            described[field.name] = value
    return described


def _built(described: dict[str, Any], prefix: str, arrays: Arrays) -> Any:
    kind = KINDS[described["kind"]]
    values = {
        name: _value(value, f"{prefix}{name}.", arrays) for name, value in described.items() if name != "kind"
    }
    inside = {field.name: arrays[prefix + field.name] for field in fields(kind) if field.name not in values}
    return kind(**values, **inside)


def _value(value: Any, prefix: str, arrays: Arrays) -> Any:
    if isinstance(value, dict):
        return _built(value, prefix, arrays)
    return tuple(value) if isinstance(value, list) else value
