"""One process at a time has something for itself; the dead have nothing; who has lost it notices."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from etude.errors import HeldError
from etude.lease import held, is_held

HOLDER = """
import sys, time
from pathlib import Path
from etude.lease import held
with held(Path(sys.argv[1]), "one at a time"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_one_process_holds_a_place_and_a_dead_one_does_not(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    with pytest.raises(HeldError) as caught, held(path, "one process at a time may train this"):
        pass
    assert str(caught.value).startswith(
        f"E128 one process at a time may train this, {path}, found 'process {process.pid} on "
    )
    assert is_held(path)
    assert caught.value.exit_code == 6
    process.kill()
    process.wait()
    process.stdout.close()
    assert not is_held(path)
    with held(path, "") as lease:
        lease.check()
        assert is_held(path)
    assert not path.exists()


def test_a_holder_whose_file_was_taken_away_notices(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    with held(path, "") as lease:
        path.unlink()
        with pytest.raises(HeldError, match="E128 a run must be held by the process that writes it"):
            lease.check()
        with held(path, "") as second:
            with pytest.raises(HeldError, match="found 'process "):
                lease.check()
            second.check()


def test_what_somebody_else_holds_by_now_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    with held(path, ""):
        path.unlink()
        path.write_text("another one's")
    assert path.read_text() == "another one's"
