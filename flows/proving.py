"""What ``etude proof`` and ``etude verify`` do. A verification is no run: it leaves nothing behind."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from etude.errors import ExperimentError, InputError
from flows.rerunning import print_diff, print_ladder
from flows.terminal import console, safe

if TYPE_CHECKING:
    from rich.console import Console

    from etude.causes import Cause
    from etude.experiment import Experiment
    from etude.ladder import Evidence
    from etude.outcome import Outcome
    from etude.proof import Proof

SHOWN_FILES = 3
KEPT_OUT = {"sha256": None, "expect": None, "query": None}


def write_proof(run_id: str, output: Path | None, *, as_json: bool) -> dict[str, Any]:
    """The run as one file."""
    import hashlib

    from tasks.run_ids import whole_run_id

    run_id = whole_run_id(run_id)
    from etude.files import write_atomically
    from etude.proof import TABLE
    from tasks.proving import proof_of

    path = output or Path(f"{run_id[:8]}.proof")
    if path.exists():
        mend = "choose another name, or delete it first"
        raise ExperimentError("E122", "the proof file must not exist yet", where=str(path), mend=mend)
    content = proof_of(run_id)
    write_atomically(path, content)
    out = console(json=as_json)
    held = TABLE[0].encode() in content
    out.print(
        f"wrote {safe(str(path))}, {len(content) / 1e6:.2f} MB, {'with' if held else 'without'} the table"
    )
    data = "" if held else " --data FILE"
    out.print(f"[bold]next:[/bold]\n  etude verify {safe(str(path))}{data}", soft_wrap=True)
    return {
        "proof": str(path),
        "run_id": run_id,
        "sha256": hashlib.sha256(content).hexdigest(),
        "table": held,
    }


def verify_proof(
    path: Path, data: Path | None, test: Path | None, *, diff: bool, as_json: bool
) -> tuple[dict[str, Any], bool]:
    """The proof run again from itself alone; its JSON, and whether it came out the same."""
    from etude.ladder import first_difference, judge, ladder
    from etude.proof import read
    from etude.reapplying import before_torch, reapplied

    content = _content(path)
    out = console(json=as_json)
    proof = read(content, str(path))
    told = before_torch(proof.identity)
    notes, unlike, code_diff = _compared(proof)
    for note in (*told, *notes):
        out.print(f"[yellow]note:[/yellow] {safe(note)}", soft_wrap=True)
    with reapplied(proof.identity) as not_reapplied, TemporaryDirectory(prefix="etude-verify-") as temporary:
        now = _run_again(proof, Path(temporary), data, test, out)
    stage = first_difference(proof.evidence, now)
    verdict = judge(proof.evidence, now, unlike(stage), proof.task)
    rungs = ladder(proof.evidence, now)
    for note in not_reapplied:
        out.print(f"[yellow]note:[/yellow] {safe(note)}", soft_wrap=True)
    print_ladder(out, rungs, "here")
    if diff and code_diff:
        print_diff(out, code_diff)
    out.print(f"[bold]verify:[/bold] {verdict.verdict}. {safe(verdict.sentence)}", soft_wrap=True)
    answer = {
        "proof": {"file": str(path), "sha256": proof.sha256, "run_id": proof.index["run_id"]},
        "verdict": verdict.as_json(),
        "metrics": dict(now.metrics),
        "ladder": [rung.as_json() for rung in rungs],
        "notes": [*told, *notes, *not_reapplied],
        "code_diff": code_diff,
    }
    return answer, verdict.verdict != "DIFFERENT"


def _content(path: Path) -> bytes:
    from etude.proof import MOST_BYTES

    try:
        if not path.is_file():
            raise FileNotFoundError(path)
        if path.stat().st_size > MOST_BYTES:
            what = f"a proof must have at most {MOST_BYTES:,} bytes"
            raise InputError("E130", what, where=str(path), value=path.stat().st_size)
        return path.read_bytes()
    except OSError as error:
        what = "the proof file must exist and be readable"
        raise ExperimentError("E001", what, where=str(path), mend="etude proof RUN writes one") from error


def _compared(proof: Proof) -> tuple[list[str], Any, str]:
    """Notes on what is not the same here; the causes as a function of the stage; the code that differs as a diff."""
    from etude import sources
    from etude.causes import causes
    from etude.identity import identity

    _check_own_network(proof)
    here = identity(
        proof.identity.get("own_network", ""),
        threads=proof.experiment.train.threads,
        seed=proof.experiment.seed,
    )
    pair = (proof.sources, sources.installed())

    def unlike(stage: str | None) -> list[Cause]:
        return causes({**proof.identity, "code": sources.digest(pair[0])}, here, stage=stage, sources=pair)

    notes = [f"not as in the proof: {cause}" for cause in _briefly(unlike(None))]
    return notes, unlike, sources.unified_diff(*pair)


def _briefly(found: list[Cause]) -> list[str]:
    """All but most of the source files: of those the first, and how many more there are."""
    code = [str(cause) for cause in found if cause.kind == "code"]
    rest = (
        [f"code: {len(code) - SHOWN_FILES} more files, `--diff` shows them"]
        if len(code) > SHOWN_FILES
        else []
    )
    return [*code[:SHOWN_FILES], *rest, *(str(cause) for cause in found if cause.kind != "code")]


def _check_own_network(proof: Proof) -> None:
    """A proof runs no code that it brings, and of the code that is here only a module in the current folder whose
    source is the recorded one."""
    from etude.networks.own_source import beside, found, source_digest

    kind = proof.experiment.network.kind
    if ":" not in kind:
        return
    with beside():
        spec = found(kind, kind.partition(":")[0].partition(".")[0])
    origin = Path(str(spec.origin or next(iter(spec.submodule_search_locations or ()), ""))).absolute()
    if not origin.is_relative_to(Path.cwd()) or source_digest(kind) != proof.identity.get("own_network"):
        raise ExperimentError(
            "E109",
            "the run's own network must stand in the current folder with the source that ran",
            where=f"network.kind: {kind}",
            value=str(origin),
            mend="bring its module; a proof does not run code that it brings itself",
        )


def _run_again(proof: Proof, temporary: Path, data: Path | None, test: Path | None, out: Console) -> Evidence:
    from etude.steps.whole import run_steps
    from etude.store import Store

    experiment, given = proof.experiment, None
    store = Store(temporary / "store")
    if data is not None:
        experiment = _with_tables(experiment, data, test)
    elif proof.holds_table:
        given = proof.snapshot(store)
    else:
        digest = proof.index["tags"]["snapshot.sha256"]
        raise InputError(
            "E130",
            "the table must be given, since the proof holds its digest alone",
            where=str(proof.index["tags"].get("source", "")),
            value=f"snapshot {digest[:12]}",
            mend="etude verify FILE --data TABLE",
        )

    def done(task: str, outcome: Outcome[Any]) -> None:
        if out.is_terminal:
            out.print(f"  [cyan]{task:<9}[/cyan] {safe(outcome.record.summary)}")

    before = os.environ.get("ETUDE_HOME")
    os.environ["ETUDE_HOME"] = str(temporary / "home")
    try:
        return run_steps(store, experiment, str(Path.cwd()), given, done=done).evidence(store)
    finally:
        os.environ.pop("ETUDE_HOME")
        os.environ.update({"ETUDE_HOME": before} if before is not None else {})


def _with_tables(experiment: Experiment, data: Path, test: Path | None) -> Experiment:
    """The experiment on these files, whatever its own sources are called."""
    wanted = experiment.data.test is not None
    if wanted != (test is not None):
        what = (
            "the run's official test table must be given too"
            if wanted
            else "the run had no official test table"
        )
        raise ExperimentError(
            "E101", what, where="--test", mend="--test FILE goes with runs that have data.test"
        )
    changed = {**KEPT_OUT, "source": str(data.absolute()), "test": str(test.absolute()) if test else None}
    return experiment.model_copy(update={"data": experiment.data.model_copy(update=changed)})
