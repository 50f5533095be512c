"""Small JSON values in files that tell when a bit of them has changed."""

from __future__ import annotations

import hashlib
import json
from typing import Any

FORMAT_VERSION = 1


def sealed(value: Any) -> bytes:
    """The value wrapped with its format and the sha256 of itself."""
    body = json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False)
    wrapped = {
        "format": FORMAT_VERSION,
        "sha256": hashlib.sha256(body.encode()).hexdigest(),
        "body": body,
    }
    return json.dumps(wrapped, ensure_ascii=False).encode()


def unsealed(content: bytes) -> Any | None:
    """The value; None when a single bit is not as it was written, or the format is another."""
    try:
        wrapped = json.loads(content)
        body = wrapped["body"]
        if (
            wrapped["format"] != FORMAT_VERSION
            or hashlib.sha256(body.encode()).hexdigest() != wrapped["sha256"]
        ):
            return None
        return json.loads(body)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
