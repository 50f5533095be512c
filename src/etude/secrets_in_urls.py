"""URLs that carry a password only by reference: ``${NAME}`` stands for an environment variable."""

from __future__ import annotations

import os
import re
from urllib.parse import quote, urlsplit

from etude.errors import ExperimentError

REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def check_no_password(url: str) -> None:
    """E136 when a password stands in the URL itself: experiments are logged and shared."""
    netloc = urlsplit(url.replace("\n", "")).netloc
    user, at, _ = netloc.rpartition("@")
    password = user.partition(":")[2]
    if at and password and not REFERENCE.fullmatch(password):
        raise ExperimentError(
            "E136",
            "a password must not stand in the experiment",
            where="data.source",
            value=url.replace(password, "***"),
            mend="write ${NAME} and set the environment variable NAME",
        )


def resolved(url: str) -> str:
    """The URL with every ``${NAME}`` replaced by the variable's value, quoted for a URL; E136 when one is not set."""

    def value(match: re.Match[str]) -> str:
        name = match[1]
        if name not in os.environ:
            mend = f"export {name}=..."
            raise ExperimentError(
                "E136", "the environment must hold the variable", where="data.source", value=name, mend=mend
            )
        return quote(os.environ[name], safe="")

    return REFERENCE.sub(value, url)


def without_secrets(text: str, url: str) -> str:
    """``text`` with every value that the URL takes from the environment replaced by ***."""
    for name in REFERENCE.findall(url):
        secret = os.environ.get(name, "")
        for spelling in {secret, quote(secret, safe="")} - {""}:
            text = text.replace(spelling, "***")
    return text
