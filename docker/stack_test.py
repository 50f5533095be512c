"""Brings a second stack up with a real Docker engine, asks it what it promises, and removes it again.

Run by ``make stack-test``, with Python alone. Project, ports, passwords and volumes are its own, so that a stack
in use beside it is not touched. Each check runs on what the ones before it left; a failed one does not stop the rest.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from stack_project import Stack, engine_answers

SERVICES = {"postgres", "prefect", "mlflow", "worker", "proxy"}
EXPERIMENT = "examples/penguins.yaml"
EVERY_MINUTE = "* * * * *"
EVERY_NEW_YEAR = "0 0 1 1 *"


def every_container_is_healthy(stack: Stack) -> None:
    assert {c["Config"]["Labels"]["com.docker.compose.service"] for c in stack.containers()} == SERVICES
    assert {c["State"]["Health"]["Status"] for c in stack.containers()} == {"healthy"}


def only_the_proxy_publishes_and_only_on_loopback(stack: Stack) -> None:
    for container in stack.containers():
        published = [
            b for bindings in container["HostConfig"]["PortBindings"].values() for b in bindings or []
        ]
        assert bool(published) == container["Name"].endswith("proxy-1"), (container["Name"], published)
        assert {b["HostIp"] for b in published} <= {"127.0.0.1"}


def every_container_is_confined(stack: Stack) -> None:
    for container in stack.containers():
        name, host = container["Name"], container["HostConfig"]
        assert host["ReadonlyRootfs"], name
        assert host["CapDrop"] == ["ALL"], name
        assert not host["CapAdd"], name
        assert "no-new-privileges:true" in host["SecurityOpt"], name
        assert host["Memory"] > 0, name
        assert host["PidsLimit"] > 0, name
        assert host["RestartPolicy"]["Name"] == "unless-stopped", name
        assert host["LogConfig"]["Config"]["max-size"], name
        assert container["Config"]["User"].split(":")[0] not in {"", "0", "root"}, name


def the_worker_reaches_neither_database_nor_outside(stack: Stack) -> None:
    networks = stack.container("worker")["NetworkSettings"]["Networks"]
    assert all(json.loads(stack.docker("network", "inspect", n))[0]["Internal"] for n in networks), networks
    networks = stack.container("postgres")["NetworkSettings"]["Networks"]
    addresses = [(n["IPAddress"], 5432) for n in networks.values()]
    knock = (
        f"import socket\nfor address in {addresses}:\n"
        " try: socket.create_connection(address, 3)\n"
        " except OSError: print('refused')"
    )
    assert stack.inside("worker", "python", "-c", knock).split() == ["refused"] * len(addresses)


def a_role_enters_its_own_database_alone(stack: Stack) -> None:
    query = 'PGPASSWORD=$(cat /run/secrets/mlflow_password) psql -h postgres -U mlflow -d {} -qAtc "SELECT 1"'
    assert stack.inside("postgres", "sh", "-c", query.format("mlflow")).strip() == "1"
    for refused in (query.format("prefect"), query.format("postgres"), 'psql -w -d mlflow -c "SELECT 1"'):
        assert stack.try_inside("postgres", "sh", "-c", refused).returncode != 0, refused


def a_foreign_name_gets_no_answer(stack: Stack) -> None:
    assert stack.status(stack.mlflow, "/", host="rebound.example") == 421
    assert stack.status(stack.prefect, "/api/ready", host="rebound.example") == 421
    ask = (
        "import urllib.request as r, urllib.error as e\n"
        "try: r.urlopen(r.Request('http://mlflow:5000/', headers={'Host': 'rebound.example'}))\n"
        "except e.HTTPError as error: print(error.code)"
    )
    assert stack.inside("worker", "python", "-c", ask).strip() == "403"


def both_interfaces_answer_through_the_proxy(stack: Stack) -> None:
    assert "<html" in stack.get(stack.mlflow, "/").decode()
    assert "<html" in stack.get(stack.prefect, "/").decode()
    assert json.loads(stack.get(stack.prefect, "/ui-settings"))["api_url"] == f"{stack.prefect}/api"


def an_experiment_trains_on_the_servers(stack: Stack) -> None:
    answer = json.loads(stack.inside("worker", "etude", "run", EXPERIMENT, "--json").splitlines()[-1])
    assert answer["tracking_uri"] == "http://mlflow:5000"
    stack.first_run = answer["run_id"]
    _assert_finished_on_both(stack, stack.first_run)


def a_scheduled_run_is_picked_up_by_the_worker(stack: Stack) -> None:
    command = ("etude", "schedule", EXPERIMENT, "--cron", EVERY_MINUTE, "--pool", "etude")
    stack.inside("worker", *command)
    try:
        run_id = _wait_for_run(stack, "FINISHED", {stack.first_run}, seconds=240)
    finally:
        stack.inside("worker", "prefect", "--no-prompt", "deployment", "delete", "train/penguins")
    _assert_finished_on_both(stack, run_id)


def a_stopped_worker_closes_its_run_first(stack: Stack) -> None:
    stack.inside("worker", "etude", "schedule", EXPERIMENT, "--cron", EVERY_NEW_YEAR, "--pool", "etude")
    try:
        parameters = stack.json(stack.prefect, "/api/deployments/name/train/penguins")["parameters"]
        parameters["experiment"]["train"] |= {"epochs": 100_000, "patience": 100_000}
        start = ("prefect", "deployment", "run", "train/penguins", "--params", json.dumps(parameters))
        stack.inside("worker", *start)
        run_id = _wait_for_run(stack, "RUNNING", set(), seconds=120)
        stack.wait_until("it trains", lambda: "train/loss" in _metrics(stack, run_id), 60)
        stack.compose("stop", "worker")
        assert _states(stack, run_id) == ("KILLED", "CRASHED")
    finally:
        stack.compose("up", "--detach", "--wait", "worker")
        stack.inside("worker", "prefect", "--no-prompt", "deployment", "delete", "train/penguins")


def a_killed_container_comes_back(stack: Stack) -> None:
    for service in ("postgres", "mlflow", "prefect", "worker", "proxy"):
        before = stack.container(service)["State"]["StartedAt"]
        stack.try_inside(service, "sh", "-c", "kill -9 -1")
        stack.wait_until(f"{service} is back", partial(_started_again, stack, service, before))
    stack.wait_until_healthy()
    _assert_finished_on_both(stack, stack.first_run)


def down_and_up_again_keeps_everything(stack: Stack) -> None:
    stack.compose("down")
    stack.compose("up", "--detach", "--wait", "--wait-timeout", "300")
    _assert_finished_on_both(stack, stack.first_run)


def no_password_is_in_logs_settings_or_image(stack: Stack) -> None:
    told = stack.compose("logs", "--no-color") + json.dumps(stack.containers())
    told += stack.docker("history", "--no-trunc", "etude:latest")
    told += stack.compose("top")
    for password in stack.passwords():
        assert password not in told


def _started_again(stack: Stack, service: str, before: str) -> bool:
    return bool(stack.container(service)["State"]["StartedAt"] != before)


def _assert_finished_on_both(stack: Stack, run_id: str) -> None:
    """The run is FINISHED in MLflow with an artifact that downloads, and its flow run COMPLETED in Prefect."""
    assert _states(stack, run_id) == ("FINISHED", "COMPLETED")
    file = _first_file(stack, run_id)
    body = stack.get(stack.mlflow, f"/get-artifact?run_id={run_id}&path={file['path']}")
    assert len(body) == file["file_size"], file


def _states(stack: Stack, run_id: str) -> tuple[str, str]:
    """MLflow's word for the run, and Prefect's for the flow run that its tag names."""
    run = _run(stack, run_id)
    tags = {tag["key"]: tag["value"] for tag in run["data"]["tags"]}
    flow_run = stack.json(stack.prefect, f"/api/flow_runs/{tags['prefect.flow_run_id']}")
    return run["info"]["status"], flow_run["state"]["type"]


def _run(stack: Stack, run_id: str) -> dict[str, Any]:
    return dict(stack.json(stack.mlflow, f"/api/2.0/mlflow/runs/get?run_id={run_id}")["run"])


def _metrics(stack: Stack, run_id: str) -> set[str]:
    return {metric["key"] for metric in _run(stack, run_id)["data"].get("metrics", [])}


def _first_file(stack: Stack, run_id: str) -> dict[str, Any]:
    listing = stack.json(stack.mlflow, f"/api/2.0/mlflow/artifacts/list?run_id={run_id}")["files"]
    while listing[0]["is_dir"]:
        path = listing[0]["path"]
        listing = stack.json(stack.mlflow, f"/api/2.0/mlflow/artifacts/list?run_id={run_id}&path={path}")[
            "files"
        ]
    return dict(listing[0])


def _wait_for_run(stack: Stack, status: str, known: set[str], seconds: float) -> str:
    """The id of a run of the first one's experiment that has this status and is not known."""
    experiment_ids = [_run(stack, stack.first_run)["info"]["experiment_id"]]

    def found() -> list[str]:
        answer = stack.post(stack.mlflow, "/api/2.0/mlflow/runs/search", {"experiment_ids": experiment_ids})
        runs = [run["info"] for run in answer.get("runs", [])]
        return [run["run_id"] for run in runs if run["status"] == status and run["run_id"] not in known]

    stack.wait_until(f"a run is {status}", lambda: bool(found()), seconds)
    return found()[0]


CHECKS = (
    every_container_is_healthy,
    only_the_proxy_publishes_and_only_on_loopback,
    every_container_is_confined,
    the_worker_reaches_neither_database_nor_outside,
    a_role_enters_its_own_database_alone,
    a_foreign_name_gets_no_answer,
    both_interfaces_answer_through_the_proxy,
    an_experiment_trains_on_the_servers,
    a_scheduled_run_is_picked_up_by_the_worker,
    a_stopped_worker_closes_its_run_first,
    a_killed_container_comes_back,
    down_and_up_again_keeps_everything,
    no_password_is_in_logs_settings_or_image,
)


def check_all(stack: Stack) -> int:
    """How many checks failed, each told on a line."""
    failed = 0
    for check in CHECKS:
        started, word = time.monotonic(), "ok    "
        try:
            check(stack)
        except (AssertionError, OSError, LookupError, ValueError, subprocess.CalledProcessError) as error:
            failed, word = failed + 1, "FAILED"
            traceback.print_exception(error)
            print(getattr(error, "stderr", "") or "", file=sys.stderr)
        print(f"{word} {check.__name__.replace('_', ' ')} ({time.monotonic() - started:.1f} s)", flush=True)
    return failed


def main() -> int:
    if not engine_answers():
        print(
            f"0 passed, 0 failed, {len(CHECKS)} skipped\nno Docker engine answers here: the stack was not started"
        )
        return 0
    folder = Path(tempfile.mkdtemp(prefix="etude-stack-"))
    stack = Stack(folder / "secrets")
    try:
        started = time.monotonic()
        stack.up()
        print(f"healthy after {time.monotonic() - started:.0f} s, the image's build included", flush=True)
        failed = check_all(stack)
        if failed:
            print(stack.compose("logs", "--no-color", "--tail", "60"), file=sys.stderr)
    finally:
        stack.compose("down", "--volumes", "--timeout", "5")
        shutil.rmtree(folder)
    print(f"{len(CHECKS) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
