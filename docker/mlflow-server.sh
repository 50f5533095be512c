#!/bin/sh
# MLflow's server: runs in PostgreSQL, artifacts proxied to a volume, so that no client needs either.
# The password travels as PGPASSWORD: never in an address, a process list or a log.
set -eu
PGPASSWORD=$(cat /run/secrets/mlflow_password)
export PGPASSWORD
exec mlflow server --host 0.0.0.0 --port 5000 --workers 2 \
    --backend-store-uri postgresql+psycopg2://mlflow@postgres:5432/mlflow \
    --serve-artifacts --artifacts-destination /srv/mlflow
