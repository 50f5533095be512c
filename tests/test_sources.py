"""The sources that ran: kept whole, compared, and never with a secret."""

from __future__ import annotations

import io
import subprocess
import zipfile
from pathlib import Path

import pytest

from etude import checkout, sources
from etude.checkout import checkout_of
from etude.redaction import WITHHELD, without_secrets
from etude.zips import REGULAR_FILE, UnsafeArchiveError, unzipped, zipped


def test_the_installed_sources_are_ours_and_come_back_from_the_zip() -> None:
    found = sources.installed()
    assert {"src/etude/seeds.py", "tasks/train.py", "flows/train.py"} <= found.keys()
    packed = sources.packed(found)
    assert sources.unpacked(packed) == found
    assert len(packed) < 1_000_000
    assert packed == sources.packed(dict(reversed(found.items())))


def test_changes_count_lines_and_the_diff_shows_them() -> None:
    before = {"a.py": b"1\n2\n3\n", "gone.py": b"x\n", "same.py": b"s\n"}
    now = {"a.py": b"1\ntwo\n3\n", "new.py": b"y\nz\n", "same.py": b"s\n"}
    assert [str(change) for change in sources.changes(before, now)] == [
        "a.py, 1 line",
        "gone.py, 1 line (removed)",
        "new.py, 2 lines (added)",
    ]
    diff = sources.unified_diff(before, now)
    assert "--- a/a.py\n+++ b/a.py\n" in diff
    assert "\n-2\n+two\n" in diff
    assert "+++ /dev/null\n" in diff
    assert "same.py" not in diff


SECRETS = [
    "password: hunter2",
    "+    api_key = 'abc'",
    "db_password=x",
    'TOKEN: str = "t"',
    "source: postgresql://me:hush@host/db",
    "key = AKIAABCDEFGHIJKLMNOP",
    "headers = {'Authorization': 'x'}",
    "send('Bearer abcdef123456789')",
    "blob = 'q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRW'",
    "hook = 'https://h/ghp_0123456789abcdefghijABCDEFGHIJ'",
]
PLAIN = [
    "from etude.networks.own_source import source_digest",
    "x = compute(token)",
    f"digest = '{'0a' * 32}'",
    "train: {epochs: 5, class_weights: balanced}",
    "path = 'src/etude/networks/convolution_of_pixels_2D.py'",
]


@pytest.mark.parametrize("line", SECRETS)
def test_a_line_with_a_secret_is_withheld_alone(line: str) -> None:
    assert without_secrets(f" a\n{line}\n b\n").splitlines()[1] in (WITHHELD, f"+{WITHHELD}")
    assert without_secrets(f" a\n{line}\n b\n").endswith("\n b\n")


@pytest.mark.parametrize("line", PLAIN)
def test_a_plain_line_stays(line: str) -> None:
    assert without_secrets(line) == line


def test_a_private_key_is_withheld_to_its_end() -> None:
    key = "-----BEGIN RSA PRIVATE KEY-----\nabc\nd\n-----END RSA PRIVATE KEY-----\nplain\n"
    lines = without_secrets(key).splitlines()
    assert [line.removeprefix("-") for line in lines] == [WITHHELD] * 4 + ["plain"]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    for command in (
        ["git", "init", "-q"],
        ["git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "x"],
    ):
        subprocess.run(command, cwd=tmp_path, check=True)
    (tmp_path / "net.py").write_text("a = 1\n")
    (tmp_path / "table.csv").write_text("x\n1\n")
    subprocess.run(["git", "add", "."], cwd=tmp_path, check=True)
    return tmp_path


def test_a_checkout_gives_its_commit_and_what_is_not_committed(repository: Path) -> None:
    (repository / "net.py").write_text("a = 2\npassword = 'hush'\n")
    (repository / "table.csv").write_text("x\n61400.4375\n")
    found = checkout_of(repository, ["*.py"])
    assert found is not None
    assert len(found.commit) == 40
    assert "+a = 2" in found.diff
    assert "hush" not in found.diff
    assert "61400" not in found.diff


def test_a_checkout_names_no_program_that_is_started(repository: Path) -> None:
    ran = repository / "ran"
    for key in ("diff.external", "core.fsmonitor", "diff.own.textconv"):
        subprocess.run(["git", "config", key, f"touch {ran}; cat"], cwd=repository, check=True)
    (repository / ".gitattributes").write_text("*.py diff=own\n")
    assert checkout_of(repository, ["*.py"]) is not None
    assert not ran.exists()


def test_a_long_diff_is_cut_at_a_line(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkout, "MOST_DIFF_CHARACTERS", 2_000)
    (repository / "net.py").write_text("".join(f"a = {i:09}\n" for i in range(900)))
    found = checkout_of(repository, ["*.py"])
    assert found is not None
    assert len(found.diff) < 2_100
    assert found.diff.splitlines()[-1].endswith(" more characters")
    assert all(len(line) == 14 for line in found.diff.splitlines()[6:-1])


def test_no_checkout_is_none(tmp_path: Path) -> None:
    assert checkout_of(tmp_path, ["*.py"]) is None
    assert checkout_of(tmp_path / "absent", ["*.py"]) is None


def hostile(name: str, *, mode: int = REGULAR_FILE, twice: bool = False) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        member = zipfile.ZipInfo(name)
        member.external_attr = mode << 16
        archive.writestr(member, b"x")
        if twice:
            other = zipfile.ZipInfo(f"{name[:-1]}~")
            other.external_attr = mode << 16
            archive.writestr(other, b"y")
    return (
        content.getvalue().replace(f"{name[:-1]}~".encode(), name.encode()) if twice else content.getvalue()
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (hostile("../a"), "name leaves the archive"),
        (hostile("/a"), "name leaves the archive"),
        (hostile("a\\b"), "name leaves the archive"),
        (hostile("C:a"), "name leaves the archive"),
        (hostile("a", mode=0o120777), "is a link"),
        (hostile("ab", twice=True), "stands twice"),
        (zipped({"a": bytes(2_000_000)}), "unpacks to more than 1,000,000"),
        (zipped({"a": b"x" * 50})[:-30], "is no sound zip"),
        (b"hello", "is no sound zip"),
    ],
)
def test_an_archive_of_a_stranger_is_refused(content: bytes, said: str) -> None:
    with pytest.raises(UnsafeArchiveError, match=said):
        unzipped(content, 1_000_000)


def test_a_zip_is_a_function_of_its_members() -> None:
    files = {"b": b"2", "a": b"1"}
    assert zipped(files) == zipped(dict(sorted(files.items())))
    assert unzipped(zipped(files), 100) == files
