"""What several commands take and give."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

EXPERIMENT = click.argument("file", type=click.Path(path_type=Path))
JSON = click.option("--json", "as_json", is_flag=True, help="End with one JSON object on standard output.")
SET = click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Overrule a key of the file."
)
FRESH = click.option("--fresh", is_flag=True, help="Compute every step again, reuse none.")


def print_json(answer: dict[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(answer, ensure_ascii=False, allow_nan=False))
