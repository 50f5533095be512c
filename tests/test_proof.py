"""The proof file: whole and honest, or refused in one line; another result is found by running it."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from etude import proof, sources
from etude.errors import ExperimentError, InputError
from etude.experiment import Experiment
from etude.identity import identity
from etude.steps.whole import run_steps
from etude.store import Store
from etude.wheel import sources_in, wheel_name, wheel_of
from etude.zips import unzipped, zipped
from flows.proving import verify_proof

Members = dict[str, bytes]


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> Members:
    """An honest proof's members, ``proof.json`` with its index among them, of a run without MLflow."""
    folder = tmp_path_factory.mktemp("proof")
    rows = "".join(f"{i * 37 % 60},{'ab'[i * 37 % 60 > 30]}\n" for i in range(60))
    (folder / "table.csv").write_text(f"size,bird\n{rows}")
    experiment = Experiment(
        name="birds",
        data={"source": "table.csv", "target": "bird"},  # type: ignore[arg-type]
        network={"kind": "mlp", "hidden": [4]},  # type: ignore[arg-type]
        train={"epochs": 2},  # type: ignore[arg-type]
    )
    store = Store(folder / "store")
    whole = run_steps(store, experiment, str(folder))
    tags = {k: v for o in whole.outcomes.values() for k, v in o.record.tags.items()}
    files = {p: store.get(ref) for o in whole.outcomes.values() for p, ref in o.record.files.items()}
    files["collect/snapshot.arrow"] = store.get(whole.outcomes["collect"].outputs.table)
    wanted = (*proof.TABLE, proof.HISTORY, proof.METRICS, proof.OUTPUTS)
    held = {name: files[name] for name in wanted}
    held |= {
        proof.EXPERIMENT: json.dumps(experiment.resolved()).encode(),
        proof.IDENTITY: json.dumps(identity()).encode(),
        proof.LADDER: b"{}",
        proof.PACKAGES: b"",
        wheel_name(): wheel_of(sources.installed()),
    }
    index = {"run_id": "ab" * 16, "name": "birds", "tags": tags, "location": ".", "wheel": wheel_name()}
    return unzipped(proof.written(index, held), proof.MOST_BYTES)


def relisted(members: Members, index: dict[str, Any] | None = None, **changed: bytes | None) -> bytes:
    """A proof by someone who knows how it is made: the list of digests fits its members."""
    held = {**members, **{k.replace("__", "/"): v for k, v in changed.items()}}
    held = {name: content for name, content in held.items() if content is not None}
    described = json.loads(held.pop(proof.INDEX)) | (index or {})
    described.pop("members")
    return proof.written(described, held)  # type: ignore[arg-type]


def refusal(content: bytes) -> str:
    with pytest.raises(InputError) as caught:
        proof.read(content, "run.proof")
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_honest_proof_is_read(members: Members) -> None:
    found = proof.read(zipped(members), "run.proof")
    assert found.experiment.name == "birds"
    assert found.sources == sources.installed()
    assert found.holds_table


def edited(members: Members, name: str, change: Callable[[Any], Any]) -> bytes:
    return json.dumps(change(json.loads(members[name]))).encode()


HOSTILE: list[tuple[str, Callable[[Members], bytes], str]] = [
    ("no zip", lambda m: b"hello", "E130 a proof must be a sound zip file"),
    ("cut off", lambda m: zipped(m)[:-100], "E130 a proof must be a sound zip file"),
    ("another zip", lambda m: zipped({"a.txt": b""}), "E130 the file must be a proof"),
    ("no json", lambda m: zipped({**m, "proof.json": b"{"}), "E130 the file must be a proof"),
    (
        "another version",
        lambda m: relisted_version(m),
        "E130 the proof's format must be 1, run.proof, found '2'",
    ),
    ("a member too many", lambda m: zipped({**m, "x.py": b""}), "hold what it lists, run.proof, found 'x.py"),
    ("a listed stranger", lambda m: relisted(m, x=b""), "members of a proof alone, run.proof, found 'x'"),
    (
        "one is missing",
        lambda m: zipped({k: v for k, v in m.items() if k != "ladder.json"}),
        "hold what it lists",
    ),
    (
        "one bit",
        lambda m: zipped({**m, "identity.json": m["identity.json"] + b" "}),
        "listed sha256, run.proof",
    ),
    ("no experiment", lambda m: relisted(m, **{"experiment.json": b"{}"}), "be what they say"),
    (
        "no history",
        lambda m: relisted(m, train__history_json=None, **{"train/history.json": b"[]"}),
        "what they say",
    ),
    ("no outputs", lambda m: relisted(m, **{"test/outputs.safetensors": b"x"}), "be what they say"),
    ("no table", lambda m: relisted(m, **{"collect/snapshot.arrow": b"ARROW1"}), "be what they say"),
    (
        "other digest",
        lambda m: relisted(m, tags_of(m, **{"snapshot.sha256": "0" * 64})),
        "another digest than",
    ),
    (
        "other outputs",
        lambda m: relisted(m, tags_of(m, **{"predictions.sha256": "0" * 64})),
        "another digest than",
    ),
    (
        "a table for terabytes",
        lambda m: relisted(m, **{"collect/snapshot.arrow": swollen(m)}),
        "be what they say",
    ),
    (
        "a thousand processes",
        lambda m: relisted(m, **{"experiment.json": crowded(m)}),
        "it wants 1000 processes",
    ),
]


def relisted_version(members: Members) -> bytes:
    return zipped({**members, proof.INDEX: edited(members, proof.INDEX, lambda i: {**i, "format": 2})})


def tags_of(members: Members, **changed: str) -> dict[str, Any]:
    return {"tags": {**json.loads(members[proof.INDEX])["tags"], **changed}}


def crowded(members: Members) -> bytes:
    return edited(members, "experiment.json", lambda e: {**e, "train": {**e["train"], "processes": 1000}})


def swollen(members: Members) -> bytes:
    """The table, of which every compressed buffer claims to be 2^44 bytes long."""
    content = members["collect/snapshot.arrow"]
    magic = b"\x28\xb5\x2f\xfd"  # of a zstd frame, before which its length stands
    parts = content.split(magic)
    claimed = (2**44).to_bytes(8, "little")
    return magic.join([*(part[:-8] + claimed for part in parts[:-1]), parts[-1]])


@pytest.mark.parametrize(("make", "said"), [case[1:] for case in HOSTILE], ids=[case[0] for case in HOSTILE])
def test_what_is_damaged_foreign_or_hostile_is_one_line(
    members: Members, make: Callable[[Members], bytes], said: str
) -> None:
    assert said in refusal(make(members))


def test_names_and_bombs_are_refused_before_anything_is_written(members: Members, tmp_path: Path) -> None:
    for name in ("../../evil", "/tmp/evil", "a/../../evil"):
        assert "name leaves the archive" in refusal(zipped({**members, name: b"x"}))
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        link = zipfile.ZipInfo("link")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    assert "is a link" in refusal(content.getvalue())


def test_an_archive_that_unpacks_to_more_than_it_may_is_refused(
    members: Members, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proof, "MOST_BYTES", 3_000_000)
    assert "unpacks to more than" in refusal(zipped({**members, "bomb": bytes(30_000_000)}))


def test_every_flipped_bit_is_found(members: Members) -> None:
    """Over the whole file, the zip's own structures too: refused, or every member is as it was."""
    content = zipped(members)
    for i in range(60):
        place = int.from_bytes(hashlib.sha256(str(i).encode()).digest()[:6], "big") % (len(content) * 8)
        flipped = bytearray(content)
        flipped[place // 8] ^= 1 << place % 8
        try:
            found = proof.read(bytes(flipped), "run.proof")
        except InputError:
            continue
        assert {**found.members, proof.INDEX: members[proof.INDEX]} == members


def verified(path: Path, content: bytes, **given: Any) -> tuple[dict[str, Any], bool]:
    path.write_bytes(content)
    return verify_proof(path, given.get("data"), given.get("test"), diff=False, as_json=True)


def test_a_better_metric_than_the_run_had_is_found_by_running_it(members: Members, tmp_path: Path) -> None:
    better = edited(
        members, proof.METRICS, lambda m: {**m, "metrics": {**m["metrics"], "test/accuracy": 0.999}}
    )
    found, same = verified(tmp_path / "a.proof", relisted(members, **{proof.METRICS: better}))
    assert not same
    assert found["verdict"]["evidence"]["first_difference"] == "metrics"
    assert found["verdict"]["sentence"].endswith("Nothing that is recorded explains it.")


def test_a_proof_without_its_table_asks_for_it_and_knows_another_one(
    members: Members, tmp_path: Path
) -> None:
    without = relisted(members, **{"collect/snapshot.arrow": None})
    with pytest.raises(InputError, match=r"E130 the table must be given, .*; etude verify FILE --data TABLE"):
        verified(tmp_path / "a.proof", without)
    rows = "".join(f"{i * 37 % 60},{'ab'[i * 37 % 60 > 30]}\n" for i in range(60))
    (tmp_path / "same.csv").write_text(f"size,bird\n{rows}")
    found, same = verified(tmp_path / "a.proof", without, data=tmp_path / "same.csv")
    assert same, found["verdict"]
    (tmp_path / "other.csv").write_text(f"size,bird\n{rows.replace('37,', '38,', 1)}")
    found, same = verified(tmp_path / "a.proof", without, data=tmp_path / "other.csv")
    assert not same
    assert "Likely cause: data: the source holds another table" in found["verdict"]["sentence"]
    with pytest.raises(ExperimentError, match="E101 the run had no official test table"):
        verified(tmp_path / "a.proof", without, data=tmp_path / "same.csv", test=tmp_path / "same.csv")


def test_other_code_and_packages_than_the_proofs_are_said(members: Members, tmp_path: Path) -> None:
    ran = {**sources.installed(), "src/etude/draft.py": b"x = 1\n"}
    older = edited(members, proof.IDENTITY, lambda i: {**i, "packages": {**i["packages"], "numpy": "0.1"}})
    content = relisted(members, **{wheel_name(): wheel_of(ran), proof.IDENTITY: older})
    found, same = verified(tmp_path / "a.proof", content)
    assert same
    code, package = found["notes"]
    assert code.startswith("not as in the proof: code: src/etude/draft.py, ")
    assert package.startswith("not as in the proof: package: numpy 0.1 -> ")
    assert "+++ b/src/etude/draft.py" in found["code_diff"]


def test_a_proof_runs_no_module_of_the_machine(members: Members, tmp_path: Path) -> None:
    kind = edited(
        members, "experiment.json", lambda e: {**e, "network": {**e["network"], "kind": "antigravity:fly"}}
    )
    with pytest.raises(ExperimentError, match="E109 the run's own network must stand in the current folder"):
        verified(tmp_path / "a.proof", relisted(members, **{"experiment.json": kind}))


def test_no_such_file_is_one_line(tmp_path: Path) -> None:
    for path in (tmp_path / "none.proof", tmp_path):
        with pytest.raises(ExperimentError, match="E001 the proof file must exist and be readable"):
            verify_proof(path, None, None, diff=False, as_json=True)


def test_the_wheel_is_one_that_pip_installs_and_holds_the_sources(tmp_path: Path) -> None:
    ours = sources.installed()
    content = wheel_of({**ours, "own/net.py": b"secret = 1"})
    assert content == wheel_of(ours)
    assert sources_in(unzipped(content, 10**8)) == ours
    (tmp_path / wheel_name()).write_bytes(content)
    target = tmp_path / "there"
    pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--target", str(target)]
    done = subprocess.run(
        [*pip, str(tmp_path / wheel_name())], capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (target / "flows" / "cli.py").read_bytes() == ours["flows/cli.py"]
    assert "etude = flows.cli:main" in next(target.glob("etude-*.dist-info/entry_points.txt")).read_text()
