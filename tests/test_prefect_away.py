"""Bad input 134: Prefect's API does not answer at the start, or dies while a flow runs. The flow finishes."""

from __future__ import annotations

import os
import socket
import sqlite3
from pathlib import Path

import pytest

from tasks import prefect_api
from tasks.prefect_api import embedded_flow
from tasks.progress import Listener, listening
from tasks.server_process import ServerProcess


class Heard(Listener):
    def __init__(self) -> None:
        super().__init__()
        self.notes: list[str] = []

    def said(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ETUDE_HOME", str(tmp_path / ".etude"))
    return tmp_path / ".etude"


def states(database: Path) -> list[str]:
    with sqlite3.connect(database) as found:
        return [row[0] for row in found.execute("select state_type from flow_run")]


def test_a_flow_whose_configured_api_is_away_and_whose_own_server_dies_ends_well(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://somebody:secret@127.0.0.1:{free.getsockname()[1]}/api"
    monkeypatch.setenv("PREFECT_API_URL", url)
    killed: list[int] = []

    @embedded_flow(name="survivor")
    def survivor() -> int:
        (server,) = prefect_api._servers.values()
        killed.append(server._process.pid)
        server._process.kill()
        return 7

    heard = Heard()
    with listening(heard):
        assert survivor() == 7
    (note,) = heard.notes
    assert note.startswith("Prefect's API at http://127.0.0.1:")
    assert "E134" in note
    assert "secret" not in note
    assert states(home / "prefect" / "prefect.db") == ["COMPLETED"]
    assert not Path(f"/proc/{killed[0]}").exists()
    assert os.environ["PREFECT_API_URL"] == url


@pytest.mark.slow
@pytest.mark.parametrize("fails", [False, True])
def test_a_flow_whose_configured_api_goes_away_for_good_gives_what_it_found(
    home: Path, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    server = ServerProcess(home / "elsewhere", False)
    server.wait_until_ready()
    monkeypatch.setenv("PREFECT_API_URL", server.url)
    monkeypatch.setattr(prefect_api, "RETRIES", 1)

    @embedded_flow(name="abandoned")
    def abandoned() -> int:
        server.stop()
        if fails:
            raise ValueError("of its own")
        return 7

    heard = Heard()
    with listening(heard):
        if fails:
            with pytest.raises(ValueError, match="of its own"):
                abandoned()
        else:
            assert abandoned() == 7
    (note,) = heard.notes
    assert note.startswith("Prefect's API went away")
