-- Run once, on an empty volume: a database for each server, owned by a role that can enter no other.
-- psql reads the passwords itself, so that they are on no command line.
\set password `cat /run/secrets/mlflow_password`
CREATE ROLE mlflow LOGIN PASSWORD :'password';
CREATE DATABASE mlflow OWNER mlflow;
\set password `cat /run/secrets/prefect_password`
CREATE ROLE prefect LOGIN PASSWORD :'password';
CREATE DATABASE prefect OWNER prefect;
REVOKE ALL ON DATABASE mlflow, prefect, postgres, template1 FROM PUBLIC;
