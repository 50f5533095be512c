"""Texts as YAML reads them back, on one line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import yaml

ONE_LINE = 10**9


def scalar(text: str) -> str:
    """The text as a key or a value of a block."""
    if not text.isprintable():
        return json.dumps(text)  # its escapes are YAML's too
    dumped: str = yaml.safe_dump(text, allow_unicode=True, width=ONE_LINE).strip()
    return dumped.removesuffix("\n...").strip()


def listed(texts: Sequence[str]) -> str:
    """The texts as a list within one line."""
    return flow(list(texts))


def flow(value: Any) -> str:
    """Any plain value within one line."""
    if isinstance(value, str):
        return scalar(value)
    dumped: str = yaml.safe_dump(value, allow_unicode=True, width=ONE_LINE, default_flow_style=True)
    return dumped.strip().removesuffix("\n...").strip()
