"""Files that are no plain files, that cannot be read, or that change while they are read."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from etude.errors import DataError
from etude.experiment import Data
from etude.reading.any_table import read

TABLE = "a,b\n1,2\n"


def refusal(folder: Path, source: str) -> DataError:
    with pytest.raises(DataError) as caught:
        read(Data(source=source, target="a"), folder)
    return caught.value


def test_a_missing_file_is_refused_with_the_nearest_name(tmp_path):
    (tmp_path / "titanic.csv").write_text(TABLE)
    error = refusal(tmp_path, "titanik.csv")
    assert (error.code, error.where, error.mend) == ("E001", "titanik.csv", "did you mean 'titanic.csv'?")


def test_a_missing_folder_is_refused_with_the_nearest_name(tmp_path):
    (tmp_path / "tables").mkdir()
    assert refusal(tmp_path, "table/a.csv").mend == "did you mean 'tables'?"


def test_a_name_with_a_nul_or_too_long_does_not_exist(tmp_path):
    assert refusal(tmp_path, "a\0b").code == "E001"
    assert refusal(tmp_path, "x" * 5000).code == "E001"


def test_a_folder_without_tables_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    assert refusal(tmp_path, "empty").code == "E002"


def test_a_fifo_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    error = refusal(tmp_path, "pipe.csv")
    assert (error.code, error.value) == ("E002", "a FIFO")


def test_a_socket_and_a_device_are_refused(tmp_path):
    folder = Path(tempfile.mkdtemp(dir="/tmp"))  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "s.csv"))
        assert refusal(folder, "s.csv").value == "a socket"
    shutil.rmtree(folder)
    assert refusal(tmp_path, "/dev/null").value == "a device"


def test_a_file_that_this_user_may_not_read_is_refused_with_uid_and_mode():
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    folder.chmod(0o755)
    (folder / "t.csv").write_text(TABLE)
    (folder / "t.csv").chmod(0o200)
    code = "import os, sys; from pathlib import Path\n"
    code += "from etude.reading.any_table import read; from etude.experiment import Data; import pyarrow\n"
    code += "if os.getuid() == 0: os.setuid(65534)\n"
    code += "try: read(Data(source='t.csv', target='a'), Path(sys.argv[1]))\n"
    code += "except Exception as error: print(error)\n"
    told = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True
    )
    shutil.rmtree(folder)
    assert told.stdout.startswith("E007 data.source must be readable, t.csv, found 'uid ")
    assert "mode 0200" in told.stdout


def test_symbolic_links_are_followed_unless_broken(tmp_path):
    (tmp_path / "t.csv").write_text(TABLE)
    (tmp_path / "good.csv").symlink_to("t.csv")
    (tmp_path / "loop.csv").symlink_to("loop.csv")
    (tmp_path / "lost.csv").symlink_to("nowhere.csv")
    assert read(Data(source="good.csv", target="a"), tmp_path).table.num_rows == 1
    assert refusal(tmp_path, "loop.csv").value == "it points at itself"
    assert refusal(tmp_path, "lost.csv").value == "it points at nowhere.csv"
    assert refusal(tmp_path, "lost.csv").code == "E008"


@pytest.mark.parametrize("change", ["longer", "shorter", "other bytes"])
def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path, change):
    path = tmp_path / "t.csv"
    path.write_text("a,b\n" + "1,2\n" * 2_000_000)
    size = path.stat().st_size

    def meddle(done: int, total: int) -> None:
        if done < size:
            with path.open("r+b") as file:
                if change == "longer":
                    file.seek(0, 2)
                    file.write(b"5,6\n")
                elif change == "shorter":
                    file.truncate(size // 2 // 4 * 4)
                else:
                    file.write(b"a,c\n")

    with pytest.raises(DataError) as caught:
        read(Data(source="t.csv", target="a"), tmp_path, meddle)
    assert (caught.value.code, caught.value.where) == ("E009", "t.csv")


@pytest.mark.parametrize(
    "name", ["two words.csv", "-rf.csv", "new\nline.csv", "naïve 表.csv", "$(id).csv", "a*b.csv"]
)
def test_any_name_is_read(tmp_path, name):
    (tmp_path / name).write_text(TABLE)
    found = read(Data(source=name, target="a"), tmp_path)
    assert found.table.num_rows == 1
    assert found.source == name.replace("\n", "\\n")


def test_a_source_starts_at_the_folder_and_may_leave_it(tmp_path):
    (tmp_path / "t.csv").write_text(TABLE)
    (tmp_path / "deep").mkdir()
    assert read(Data(source="../t.csv", target="a"), tmp_path / "deep").table.num_rows == 1
    assert read(Data(source=f"file://{tmp_path}/t.csv", target="a"), tmp_path / "deep").table.num_rows == 1
