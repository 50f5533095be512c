#!/bin/sh
# A worker of the pool "etude": each flow run is a process of its own in the working folder.
set -eu
mkdir -p "$PREFECT_HOME"
exec prefect worker start --pool etude --type process --name "worker-$(hostname)" \
    --base-job-template /opt/etude/stack/pool.json --limit "${ETUDE_WORKER_LIMIT:-1}" --with-healthcheck
