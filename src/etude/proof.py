"""The proof file: a run in one zip that ``etude verify`` checks on a machine that knows nothing of it.

``proof.json`` says the format, the stages' digests, and of every other member sha256 and size. What it proves: these
results come out of this table, this experiment and this code. It bears no signature: who made it, it does not prove.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from etude.errors import InputError
from etude.ladder import HISTORY, METRICS, OUTPUTS, Evidence, evidence_from
from etude.wheel import sources_in
from etude.zips import UnsafeArchiveError, unzipped, zipped

if TYPE_CHECKING:
    from etude.experiment import Experiment
    from etude.steps.collect import Snapshot
    from etude.store import Store

KIND, FORMAT_VERSION = "etude proof", 1
INDEX = "proof.json"
EXPERIMENT, IDENTITY, LADDER, PACKAGES = "experiment.json", "identity.json", "ladder.json", "packages.txt"
TABLE = ("collect/snapshot.arrow", "collect/schema.json", "collect/parsing.json")
TEST_TABLE = ("collect/test_snapshot.arrow", "collect/test_parsing.json")
ALWAYS = frozenset({EXPERIMENT, IDENTITY, LADDER, PACKAGES, HISTORY, METRICS, OUTPUTS})
KNOWN = ALWAYS | {*TABLE, *TEST_TABLE}
MOST_BYTES = 2_000_000_000
MOST_PROCESSES = 64


@dataclass(frozen=True)
class Proof:
    """A proof that was read and is whole: every member has its listed sha256, and all of it parses."""

    index: Mapping[str, Any]
    members: Mapping[str, bytes]
    sha256: str

    @cached_property
    def experiment(self) -> Experiment:
        from etude.experiment import Experiment

        return Experiment.model_validate_json(self.members[EXPERIMENT])

    @cached_property
    def identity(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.members[IDENTITY])
        return found

    @cached_property
    def evidence(self) -> Evidence:
        return evidence_from(self.index["tags"], lambda path: self.members[path])

    @property
    def task(self) -> Literal["classification", "regression"]:
        return "regression" if self.index["tags"]["task"] == "regression" else "classification"

    @property
    def holds_table(self) -> bool:
        return TABLE[0] in self.members

    @cached_property
    def sources(self) -> dict[str, bytes]:
        """The code that ran, out of its wheel."""
        return sources_in(unzipped(self.members[self.index["wheel"]], MOST_BYTES))

    def snapshot(self, store: Store) -> Snapshot:
        """The run's table, put into the store."""
        from etude import snapshot
        from etude.steps.collect import Snapshot
        from etude.steps.official_test import OfficialTest

        tags, test = self.index["tags"], None
        table, schema, parsing = (store.put(self.members[name]) for name in TABLE)
        if TEST_TABLE[0] in self.members:
            content, counts = (self.members[name] for name in TEST_TABLE)
            rows = snapshot.from_bytes(content).num_rows
            test = OfficialTest(
                store.put(content), store.put(counts), tags["test_snapshot.sha256"], tags["test_source"], rows
            )
        return Snapshot(table, schema, parsing, tags["snapshot.sha256"], tags["source"], test)


def written(index: Mapping[str, Any], members: Mapping[str, bytes]) -> bytes:
    """The proof file; the same run gives the same bytes."""
    listed = {
        name: {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        for name, content in sorted(members.items())
    }
    whole = {"kind": KIND, "format": FORMAT_VERSION, **index, "members": listed}
    described = json.dumps(whole, indent=1, sort_keys=True, ensure_ascii=False).encode()
    return zipped({INDEX: described, **members})


def read(content: bytes, where: str) -> Proof:
    """The proof, checked before anything of it is used. Raises InputError E130 with what is wrong, in one line."""
    try:
        members = unzipped(content, MOST_BYTES)
    except UnsafeArchiveError as error:
        raise _refused("a proof must be a sound zip file", where, str(error)) from error
    index = _index(members.pop(INDEX, b""), where)
    _check_members(index, members, where)
    proof = Proof(index, members, hashlib.sha256(content).hexdigest())
    try:
        _try(proof)
    # A stranger's JSON, Arrow and safetensors raise many things.
    except Exception as error:
        told = " ".join(str(error).split())[:200]
        raise _refused(
            "a proof's members must be what they say", where, f"{type(error).__name__}: {told}"
        ) from error
    return proof


def _index(content: bytes, where: str) -> dict[str, Any]:
    try:
        index = json.loads(content)
    except ValueError:
        index = None
    if not isinstance(index, dict) or index.get("kind") != KIND:
        raise _refused("the file must be a proof", where, "a zip without a proof.json of ours")
    if index.get("format") != FORMAT_VERSION:
        mend = "use the version of Etude that made it, or a newer one"
        raise _refused(f"the proof's format must be {FORMAT_VERSION}", where, index.get("format"), mend)
    return index


def _check_members(index: Mapping[str, Any], members: Mapping[str, bytes], where: str) -> None:
    listed, wheel = index.get("members"), index.get("wheel")
    if not isinstance(listed, dict) or not isinstance(wheel, str):
        raise _refused("a proof must list its members", where, "a proof.json without them")
    for name in sorted(listed.keys() | members.keys() | ALWAYS):
        if name not in members or name not in listed:
            raise _refused("a proof must hold what it lists", where, f"{name} stands in one of both")
        if name not in KNOWN and name != wheel:
            raise _refused("a proof must hold members of a proof alone", where, name)
        entry = listed[name]
        if not isinstance(entry, dict) or hashlib.sha256(members[name]).hexdigest() != entry.get("sha256"):
            raise _refused("a member must have its listed sha256", where, name)


def _try(proof: Proof) -> None:
    """Everything is looked at once, so that a fault is found before hours of training."""
    from etude import snapshot
    from etude.memory_limit import limited_memory

    tags = proof.index["tags"]
    if not all(isinstance(v, str) for v in tags.values()) or not proof.evidence.losses or not proof.sources:
        raise ValueError("its evidence is not complete")
    if hashlib.sha256(proof.members[OUTPUTS]).hexdigest() != tags["predictions.sha256"]:
        raise ValueError("its predictions have another digest than it says")
    if proof.experiment.train.processes > MOST_PROCESSES:
        raise ValueError(f"it wants {proof.experiment.train.processes} processes")
    _ = proof.task, proof.identity["fingerprint"], proof.identity["packages"]
    for name, tag in ((TABLE[0], "snapshot.sha256"), (TEST_TABLE[0], "test_snapshot.sha256")):
        if name in proof.members:
            with limited_memory():
                table = snapshot.from_bytes(proof.members[name])
                table.validate(full=True)
                if snapshot.digest(table) != tags[tag]:
                    raise ValueError(f"{name} has another digest than it says")


def _refused(
    what: str, where: str, value: object, mend: str = "ask for the file again; nothing of it was run"
) -> InputError:
    return InputError("E130", what, where=where, value=value, mend=mend)
