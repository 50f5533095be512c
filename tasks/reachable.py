"""Whether a server answers, asked once and briefly."""

from __future__ import annotations

from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from etude.errors import InputError
from tasks.mlflow_names import without_secret

REACHED_SECONDS = 5


def check_reachable(uri: str) -> None:
    """Raises InputError E132 when nobody answers. MLflow's own client tries for five minutes before it says so."""
    place = without_secret(uri)
    try:
        urlopen(f"{place.rstrip('/')}/health", timeout=REACHED_SECONDS)
    except HTTPError:
        return  # somebody answers there
    except (URLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise InputError(
            "E132",
            "MLflow must be reachable",
            where=place,
            value=reason,
            mend="start the server, or unset MLFLOW_TRACKING_URI to use mlflow.db here",
        ) from None


def unreachable(api: str) -> str:
    """What is wrong with Prefect's API, as a sentence; "" when somebody answers there."""
    try:
        urlopen(f"{api.rstrip('/')}/health", timeout=REACHED_SECONDS).close()
    except HTTPError:
        return ""
    except (URLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        return f"Prefect's API at {without_secret(api)} does not answer ({reason}, E134)"
    return ""
