"""How things are named for MLflow: metric names that it takes, and addresses of its pages."""

from __future__ import annotations

import hashlib
import json
import os
from functools import cache
from urllib.parse import quote, urlsplit

NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-. /")
NAME_LENGTH, VALUE_LENGTH = 250, 6_000
LOSSES_LINK = "{link to the losses}"
"""Stands for ``losses_link`` in a tag of a run whose id is not known yet."""
LOCAL_UI = "http://127.0.0.1:5000"
"""Where `etude ui` serves MLflow unless told otherwise."""


@cache
def safe_name(name: str) -> str:
    """The name with every character that MLflow refuses written ``:2B:``, so that it can be read back."""
    safe = "".join(c if c in NAME_CHARACTERS else "".join(f":{b:02X}:" for b in c.encode()) for c in name)
    if len(safe) > NAME_LENGTH:
        safe = f"{safe[: NAME_LENGTH - 9]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    return safe


def losses_link(run_id: str, experiment_id: str, uri: str) -> str:
    """MLflow's page with train and validation loss in one chart; by itself MLflow draws one chart a metric."""
    base = without_secret(uri) if uri.startswith("http") else LOCAL_UI
    query = {
        "runs": [run_id],
        "metric": "train/loss",
        "experiments": [experiment_id],
        "plot_metric_keys": ["train/loss", "validation/loss"],
    }
    written = "&".join(
        f"{k}={quote(json.dumps(v, separators=(',', ':')), safe='')}" for k, v in query.items()
    )
    return f"{base.rstrip('/')}/#/metric?{written}"


def run_link(run_id: str, experiment_id: str, uri: str) -> str:
    """MLflow's page of the run."""
    base = without_secret(uri) if uri.startswith("http") else LOCAL_UI
    return f"{base.rstrip('/')}/#/experiments/{experiment_id}/runs/{run_id}"


def is_mlflows_default(uri: str) -> bool:
    """Whether MLflow alone would look there too.

    Its own default escapes the folder's path and then takes the escapes for characters of a name.
    """
    return uri.startswith("sqlite:") and quote(uri, safe="/:") == uri


def let_mlflow_find(uri: str) -> None:
    """``mlflow.pyfunc.load_model`` in this process looks where the run is."""
    if not os.environ.get("MLFLOW_TRACKING_URI") and not is_mlflows_default(uri):
        os.environ["MLFLOW_TRACKING_URI"] = uri


def without_secret(uri: str) -> str:
    """The URI without user and password, as it may be printed and written down."""
    parts = urlsplit(uri)
    if "@" not in parts.netloc:
        return uri
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
