#!/bin/sh
# Prefect's server. The password travels as PGPASSWORD: never in an address, a process list or a log.
set -eu
PGPASSWORD=$(cat /run/secrets/prefect_password)
export PGPASSWORD
export PREFECT_SERVER_DATABASE_CONNECTION_URL=postgresql+asyncpg://prefect@postgres:5432/prefect
exec prefect server start --host 0.0.0.0 --port 4200
