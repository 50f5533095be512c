#!/bin/sh
# Starts the stack and comes back when every container is healthy, with the addresses.
set -eu
cd "$(dirname "$0")/.."

if ! docker compose version > /dev/null 2>&1; then
    echo "the stack needs Docker with its compose plugin: 'docker compose version' must answer" >&2
    exit 2
fi
sh docker/secrets.sh
docker compose build prefect
if ! docker compose up --detach --wait --wait-timeout "${ETUDE_STACK_WAIT:-300}"; then
    docker compose ps --all >&2
    echo "not every container became healthy; 'docker compose logs NAME' tells why" >&2
    exit 1
fi
mlflow=http://$(docker compose port proxy 5000)
prefect=http://$(docker compose port proxy 4200)
cat <<ADDRESSES

MLflow   $mlflow
Prefect  $prefect

Train on the stack:      docker compose exec worker etude run examples/penguins.yaml
Every night at three:    docker compose exec worker etude schedule examples/penguins.yaml --cron "0 3 * * *" --pool etude
From this machine:       export MLFLOW_TRACKING_URI=$mlflow PREFECT_API_URL=$prefect/api
Stop, keeping the data:  make stack-down
ADDRESSES
