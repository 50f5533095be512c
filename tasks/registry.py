"""MLflow's registry: versions and the alias ``champion``. The client comes from ``tasks.tracking``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from etude.errors import InputError
from etude.home import home
from etude.lease import held
from tasks import tracking
from tasks.signals import uninterrupted

if TYPE_CHECKING:
    from mlflow import MlflowClient

ALIAS = "champion"
BEFORE = "champion.before"
OF_RUN = "etude.run_id"


@dataclass(frozen=True)
class Version:
    """A version of a registered model. ``before`` is the version that was champion before this one became it."""

    model: str
    version: str
    run_id: str
    before: str = ""

    @property
    def uri(self) -> str:
        return f"models:/{self.model}/{self.version}"


def champion_of(model: str) -> Version | None:
    """The version with the alias; None when there is none."""
    from mlflow.exceptions import MlflowException

    client = _client()
    try:
        number = client.get_registered_model(model).aliases.get(ALIAS)
    except MlflowException:
        return None
    return None if number is None else _version(client.get_model_version(model, str(number)))


@uninterrupted()
def version_of_run(model: str, run_id: str, model_uri: str, tags: Mapping[str, str]) -> Version:
    """The version of this run's model, made when there is none yet, with ``tags``."""
    from mlflow.exceptions import MlflowException

    client = _client()
    try:
        client.create_registered_model(model, tags={"etude": "model"})
    except MlflowException:
        client.get_registered_model(model)  # it is there already, or this raises what is really wrong
    known = [
        v for v in client.search_model_versions(f"name='{_quoted(model)}'") if v.tags.get(OF_RUN) == run_id
    ]
    if known:
        found = known[0]
    else:
        model_id = model_uri.removeprefix("models:/")
        found = client.create_model_version(
            model, model_uri, run_id, tags={OF_RUN: run_id, **tags}, model_id=model_id
        )
    for name, value in tags.items():
        client.set_model_version_tag(model, str(found.version), name, value)
    return _version(client.get_model_version(model, str(found.version)))


@uninterrupted()
def crown(version: Version, expected: Version | None) -> None:
    """The alias moves from ``expected`` to ``version`` in one step of the registry's database.

    Raises InputError E135 when another version became champion meanwhile, HeldError E128 while another process of this
    folder moves it.
    """
    client = _client()
    with held(home() / "promote.lock", "one process at a time moves the champion"):
        now = champion_of(version.model)
        if (now.version if now else "") != (expected.version if expected else ""):
            raise InputError(
                "E135",
                "the champion must be the one that was compared",
                where=f"model {version.model}",
                value=f"version {now.version if now else 'none'}",
                mend="`etude promote RUN` moves it by hand",
            )
        if now is not None and now.version != version.version:
            client.set_model_version_tag(version.model, version.version, BEFORE, now.version)
        client.set_registered_model_alias(version.model, ALIAS, version.version)


@uninterrupted()
def roll_back(model: str) -> tuple[Version, Version]:
    """The champion of before is champion again: who it was, and who it is. Raises InputError E133 without one."""
    client, now = _client(), champion_of(model)
    if now is None:
        known = ", ".join(sorted(m.name for m in client.search_registered_models())[:10]) or "none"
        raise InputError(
            "E133", "the model must have a champion", value=model, mend=f"registered are: {known}"
        )
    if not now.before:
        what = "there must be an earlier champion"
        raise InputError("E133", what, where=f"model {model}", value=f"version {now.version} is the first")
    with held(home() / "promote.lock", "one process at a time moves the champion"):
        client.set_registered_model_alias(model, ALIAS, now.before)
    client.set_model_version_tag(model, now.version, "verdict.gate", "rolled back")
    return now, _version(client.get_model_version(model, now.before))


def _client() -> MlflowClient:
    return tracking.client_of(tracking.tracking_uri())


def _version(found: Any) -> Version:
    return Version(found.name, str(found.version), str(found.run_id), found.tags.get(BEFORE, ""))


def _quoted(name: str) -> str:
    return name.replace("'", "''")
