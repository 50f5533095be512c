"""The ``etude`` command: starts flows and prints what they found. Everything heavy is imported by the command
that needs it, so that ``--help`` answers at once.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import signal
import sys
import threading
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from etude.errors import EtudeError
from etude.files import disk_fault
from flows.cli_models import predict, promote, rollback
from flows.cli_options import EXPERIMENT, FRESH, JSON, SET
from flows.cli_options import print_json as _print_json

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

HURRY_SECONDS = 0.7  # enough to close the run in MLflow


class Interrupted(BaseException):
    """SIGTERM or SIGHUP arrived: unwind, so that the run is closed as KILLED and no child is left."""


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="etude")
@click.option("--debug", is_flag=True, help="Show tracebacks and Prefect's own log.")
def etude(debug: bool) -> None:
    """Train a neural network on a table, and be able to prove what was done.

    \b
    etude init table.csv --target price     writes an experiment file for a table
    etude check price.yaml                  says what would happen, trains nothing
    etude run price.yaml                    trains, tests, logs all of it to MLflow
    etude ui                                shows the runs

    Exit codes: 0 done, 1 a fault of ours, 2 something for you to change, 3 training diverged, 5 disk full,
    6 held by another process, 7 a negative verdict, 8 rows to predict have drifted, 130 / 143 interrupted.
    """


@etude.command()
@EXPERIMENT
@SET
@FRESH
@JSON
def run(file: Path, overrides: tuple[str, ...], fresh: bool, as_json: bool) -> None:
    """Train the experiment in FILE.

    \b
    etude run examples/penguins.yaml
    etude run examples/penguins.yaml --set train.epochs=5 --set seed=1
    """
    from etude.training import torchrun

    if torchrun.rank() > 0:
        torchrun.follow()
        return
    from flows.commands import run_experiment

    _print_json(run_experiment(file, overrides, fresh=fresh, as_json=as_json).as_json(), as_json)


@etude.command()
@EXPERIMENT
@SET
@click.option(
    "--write-schema",
    is_flag=False,
    flag_value="",
    metavar="[PATH]",
    help="Write what the table holds to a schema file (FILE's name with .schema.yaml), to commit and to edit.",
)
@JSON
def check(file: Path, overrides: tuple[str, ...], write_schema: str | None, as_json: bool) -> None:
    """Read the file and its data, say what would happen, train nothing."""
    from flows.commands import check_experiment

    path = None if write_schema is None else Path(write_schema or file.with_suffix(".schema.yaml"))
    _print_json(check_experiment(file, overrides, write_schema=path, as_json=as_json), as_json)


@etude.command("find-lr")
@EXPERIMENT
@SET
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="Default: the file's name with .find-lr.png."
)
@JSON
def find_lr(file: Path, overrides: tuple[str, ...], output: Path | None, as_json: bool) -> None:
    """Try learning rates from 1e-6 to 10 on FILE's train rows (Smith 2017), suggest one, draw the curve."""
    from flows.find_rate import find_learning_rate

    _print_json(find_learning_rate(file, overrides, output, as_json=as_json), as_json)


@etude.command()
@click.argument("data")
@click.option("--target", required=True, help="The column to predict.")
@SET
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Default: the table's name with .yaml.")
@JSON
def init(data: str, target: str, overrides: tuple[str, ...], output: Path | None, as_json: bool) -> None:
    """Look at the table DATA and write a commented experiment file for it.

    What the table needs declared is written where one way alone is sensible; else say it: --set data.decimal=,
    """
    from flows.commands import init_experiment

    _print_json(init_experiment(data, target, overrides, output, as_json=as_json), as_json)


@etude.command()
@click.argument("run_id")
@click.option("--collect", is_flag=True, help="Read the source again and say which rows and columns changed.")
@click.option("--diff", is_flag=True, help="Print what changed in the code since, as a unified diff.")
@click.option("--env", "environment", is_flag=True, help="Make an environment with the run's packages first.")
@JSON
def rerun(run_id: str, collect: bool, diff: bool, environment: bool, as_json: bool) -> None:
    """Run RUN_ID again from what MLflow holds, and say whether it came out the same (else exit code 7).

    RUN_ID may be its first characters. IDENTICAL and WITHIN TOLERANCE end with exit code 0.
    """
    from flows.rerunning import rerun_in_environment, rerun_run

    if environment:
        given = {"--collect": collect, "--diff": diff, "--json": as_json}
        flags = [flag for flag, is_given in given.items() if is_given]
        sys.exit(rerun_in_environment(run_id, flags, as_json=as_json))
    answer, same = rerun_run(run_id, collect=collect, diff=diff, as_json=as_json)
    _print_json(answer, as_json)
    if not same:
        sys.exit(7)


@etude.command()
@click.argument("run_id")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Default: the id's head with .proof.")
@JSON
def proof(run_id: str, output: Path | None, as_json: bool) -> None:
    """Write RUN_ID into one file that `etude verify` checks on another machine, without MLflow."""
    from flows.proving import write_proof

    _print_json(write_proof(run_id, output, as_json=as_json), as_json)


@etude.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--data", type=click.Path(path_type=Path), help="The table, where the proof holds its digest alone."
)
@click.option("--test", type=click.Path(path_type=Path), help="Its official test table, where there is one.")
@click.option("--diff", is_flag=True, help="Print how the code here differs from the proof's.")
@JSON
def verify(file: Path, data: Path | None, test: Path | None, diff: bool, as_json: bool) -> None:
    """Run the proof FILE again, here, and say whether it came out the same (else exit code 7).

    Nothing is left behind. A file that is damaged, foreign or not to be trusted is refused with exit code 2.
    """
    from flows.proving import verify_proof

    answer, same = verify_proof(file, data, test, diff=diff, as_json=as_json)
    _print_json(answer, as_json)
    if not same:
        sys.exit(7)


@etude.command()
@JSON
def sync(as_json: bool) -> None:
    """Send to MLflow what runs could not send while it was away. They wait in .etude/runs; nothing is sent twice."""
    from flows.sync import sync as sync_runs

    answer = sync_runs(as_json=as_json)
    _print_json(answer, as_json)
    if answer["damaged"]:
        sys.exit(7)


@etude.command()
@EXPERIMENT
@click.option("--cron", required=True, help='When, as five fields: "0 3 * * *" is every night at three.')
@click.option("--timezone", default="UTC", show_default=True, help="Whose clock the cron fields mean.")
@click.option("--pool", help="A Prefect work pool; without it the schedule is served from this terminal.")
@JSON
def schedule(file: Path, cron: str, timezone: str, pool: str | None, as_json: bool) -> None:
    """Run FILE on a schedule. Served here until Ctrl-C, or handed to a work pool.

    \b
    etude schedule examples/penguins.yaml --cron "0 3 * * *" --timezone Europe/Berlin
    """
    from flows.commands import schedule_experiment

    _print_json(schedule_experiment(file, cron, timezone, pool, as_json=as_json), as_json)


@etude.command()
@click.option("--mlflow-port", default=5000, show_default=True)
@click.option("--prefect-port", default=4200, show_default=True)
@JSON
def ui(mlflow_port: int, prefect_port: int, as_json: bool) -> None:
    """Serve both UIs on localhost until Ctrl-C."""
    from flows.commands import serve_uis

    serve_uis(mlflow_port, prefect_port, lambda addresses: _print_json(addresses, as_json), as_json=as_json)


@etude.group(invoke_without_command=True)
@JSON
@click.pass_context
def store(context: click.Context, as_json: bool) -> None:
    """Show how large .etude is; verify it; prune it."""
    if context.invoked_subcommand is None:
        from flows.upkeep import show

        _print_json(show(as_json=as_json), as_json)


@store.command("verify")
@JSON
def verify_store(as_json: bool) -> None:
    """Check every file's checksum, name what is damaged (then exit code 7). A run makes what is damaged anew."""
    from flows.upkeep import verify

    answer, sound = verify(as_json=as_json)
    _print_json(answer, as_json)
    if not sound:
        sys.exit(7)


@store.command("prune")
@click.option(
    "--days", default=30.0, show_default=True, type=click.FloatRange(min=0), help="Whose runs are kept."
)
@click.option("--yes", is_flag=True, help="Delete; without it, only say what would be deleted.")
@JSON
def prune_store(days: float, yes: bool, as_json: bool) -> None:
    """Delete what no run of the last DAYS needs: outcomes of steps, stored objects, checkpoints.

    Safe while a run goes on. MLflow's files (models, champions, artifacts) are not touched.
    """
    from flows.upkeep import prune

    _print_json(prune(days, yes=yes, as_json=as_json), as_json)


@etude.command()
@JSON
def schema(as_json: bool) -> None:
    """Print the JSON schema of the experiment file; editors complete from it."""
    from etude.experiment import Experiment

    click.echo(json.dumps(Experiment.model_json_schema(), indent=None if as_json else 2))


for command in (predict, promote, rollback):
    etude.add_command(command)


def main() -> NoReturn:
    """The command with its exit codes: every fault ends as one line, never as a traceback unless asked for."""
    _open_standard_streams()
    _look_for_garbage_rarely()
    _handle_signals()
    debug = "--debug" in sys.argv
    if debug:
        sys.argv.remove("--debug")
        os.environ["ETUDE_DEBUG"] = "1"
    code = _guarded(lambda: etude(standalone_mode=False), debug)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(
            number, signal.SIG_IGN
        )  # a signal that is sent again must not unwind the interpreter's end
    sys.exit(code)


def _open_standard_streams() -> None:
    """Where the caller closed one of the three, the next file or socket would take its number."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, os.fdopen(number, "r" if number == 0 else "w", closefd=False))


def _look_for_garbage_rarely() -> None:
    """Imports make a million objects that all stay: looking through them costs 1.4 s, and at the exit as much again."""
    gc.set_threshold(200_000, 20, 100)
    atexit.register(gc.freeze)


def _guarded(command: Callable[[], Any], debug: bool) -> int:
    try:
        command()
    except EtudeError as error:
        return _fail(str(error), error.exit_code, debug, error)
    except click.ClickException as error:
        told = error.format_message().rstrip(".")
        return _fail(f"E101 {told}; `etude --help` lists what there is", 2, debug, error)
    except (KeyboardInterrupt, click.exceptions.Abort):
        return _fail(f"interrupted{_closed()}", 130, debug)
    except Interrupted:
        return _fail(f"terminated{_closed()}", 143, debug)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else 1
    except Exception as error:
        if fault := disk_fault(error):
            return _fail(str(fault), fault.exit_code, debug, fault)
        told = f"E000 a fault of ours: {type(error).__name__}: {' '.join(str(error).split())[:300]}"
        return _fail(f"{told}; `etude --debug ...` shows where", 1, debug, error)
    return 0


def _closed() -> str:
    if {"run", "rerun"}.isdisjoint(sys.argv[1:]):
        return ""
    return "; the run is closed as KILLED, the same command goes on where it was"


def _fail(line: str, code: int, debug: bool, error: BaseException | None = None) -> int:
    if debug and error is not None:
        traceback.print_exception(error)
    click.echo(line, err=True)
    if "--json" in sys.argv:
        told = {
            "error": {
                "code": getattr(error, "code", line.split()[0] if line[:1] == "E" else ""),
                "message": line,
                "exit_code": code,
            }
        }
        click.echo(json.dumps(told))
    return code


def _handle_signals() -> None:
    """The first one unwinds in order; after a second the process is gone within a second, come what may."""
    from tasks.signals import sent_by_us

    heard: list[int] = []

    def unwind(number: int, frame: FrameType | None) -> None:
        if not sent_by_us() and heard:
            threading.Timer(HURRY_SECONDS, os._exit, (128 + number,)).start()
        heard.append(number)
        raise KeyboardInterrupt if number == signal.SIGINT else Interrupted

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, unwind)
