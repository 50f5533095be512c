"""A packed model by any of its names: a run's id, an address of MLflow's, a folder."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from etude.errors import InputError
from etude.home import home
from etude.store import Ref, Store
from tasks import tracking
from tasks.mlflow_names import let_mlflow_find
from tasks.run_ids import whole_run_id

if TYPE_CHECKING:
    from etude.model import Model

ADDRESS = "models:/"


@dataclass(frozen=True)
class FoundModel:
    """The model folder's files in the store. ``uri`` and the ids are empty for a folder; ``name`` is what was asked."""

    name: str
    files: dict[str, Ref]
    uri: str = ""
    run_id: str = ""
    experiment_id: str = ""

    def load(self) -> Model:
        from etude import model

        return model.from_files({name: _store().get(ref) for name, ref in self.files.items()})


def find_model_files(name: str) -> FoundModel:
    """The model that ``name`` means: a folder (packed, or as MLflow saved it), ``models:/NAME@ALIAS``,
    ``models:/NAME/VERSION``, ``models:/m-ID``, or the id of a run, of which the first characters are enough.

    Raises InputError E133 when there is none, EtudeError E130 when it is no model of Etude's or not whole.
    """
    if Path(name).is_dir():
        return FoundModel(name, _files(Path(name)))
    uri = name
    if not name.startswith(ADDRESS):
        if "/" in name or Path(name).suffix:
            what, mend = (
                "the model must exist",
                "a folder, a run's id, models:/NAME@champion or models:/m-...",
            )
            raise InputError("E133", what, value=name, mend=mend)
        run_id = whole_run_id(name)
        uri = tracking.tags_of(run_id).get("model_uri", "")
        if not uri:
            raise InputError("E133", "the run must have a model", value=run_id, mend="choose a finished run")
    model_id = logged_model_id(uri)
    logged = tracking.client_of(tracking.tracking_uri()).get_logged_model(model_id)
    with tempfile.TemporaryDirectory() as temporary:
        files = _files(Path(_downloaded(f"models:/{model_id}", temporary)))
    return FoundModel(name, files, uri, str(logged.source_run_id or ""), str(logged.experiment_id))


def logged_model_id(uri: str) -> str:
    """``m-...`` of any address. Raises InputError E133 when it leads to none."""
    rest = uri.removeprefix(ADDRESS)
    client = tracking.client_of(tracking.tracking_uri())
    try:
        if "@" in rest:
            name, _, alias = rest.partition("@")
            version: Any = client.get_model_version_by_alias(name, alias)
        elif "/" in rest:
            name, _, number = rest.partition("/")
            version = client.get_model_version(name, number)
        else:
            return str(client.get_logged_model(rest).model_id)
    except Exception as error:
        known = sorted(model.name for model in client.search_registered_models())
        mend = (
            f"registered are: {', '.join(known[:10])}" if known else "none is registered: `etude promote RUN`"
        )
        where = tracking.tracking_uri()
        raise InputError("E133", "the model must exist", where=where, value=uri, mend=mend) from error
    # MLflow 3.17 on SQLite keeps a version's source and forgets its model_id.
    model_id = str(version.model_id or version.source.removeprefix(ADDRESS))
    if not model_id.startswith("m-"):
        raise InputError("E133", "the version must be of a model that Etude logged", value=uri)
    return model_id


def _downloaded(uri: str, folder: str) -> str:
    from mlflow.artifacts import download_artifacts

    let_mlflow_find(tracking.tracking_uri())  # by itself it looks elsewhere where a path holds a space
    return str(download_artifacts(artifact_uri=uri, dst_path=folder, tracking_uri=tracking.tracking_uri()))


def _files(folder: Path) -> dict[str, Ref]:
    described = sorted(folder.rglob("model.json"))
    if len(described) != 1:
        what = "the folder must hold one model of Etude's"
        raise InputError("E133", what, where=str(folder), value=f"{len(described)} files model.json")
    store = _store()
    return {
        path.name: store.put(path.read_bytes()) for path in described[0].parent.iterdir() if path.is_file()
    }


def _store() -> Store:
    return Store(home() / "store")
