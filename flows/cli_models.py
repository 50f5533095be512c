"""The commands of a model that is there: answer rows with it, let it go live, take it back."""

from __future__ import annotations

import click

from flows.cli_options import JSON, SET, print_json


@click.command()
@click.argument("model")
@click.argument("data")
@click.option("-o", "--output", required=True, help="A name in .csv or .parquet, or - for standard output.")
@click.option(
    "--key", "keys", multiple=True, metavar="COLUMN", help="Stands before the answers; default: ids."
)
@click.option(
    "--stop-on-drift", is_flag=True, help="Write nothing when the rows are unlike those of training."
)
@SET
@JSON
def predict(
    model: str,
    data: str,
    output: str,
    keys: tuple[str, ...],
    stop_on_drift: bool,
    overrides: tuple[str, ...],
    as_json: bool,
) -> None:
    """Answer the rows of DATA with MODEL: a run's id, models:/NAME@champion, models:/m-..., or a folder.

    \b
    etude predict 2cda5de7 new.csv -o answers.csv
    etude predict models:/penguins@champion "2026/*.parquet" -o answers.parquet --stop-on-drift
    """
    from flows.predicting import predict_table

    answer = predict_table(model, data, output, keys, overrides, stop_on_drift=stop_on_drift, as_json=as_json)
    print_json(answer, as_json and output != "-")


@click.command()
@click.argument("run_id")
@click.option(
    "--model", metavar="NAME", help="Registered model; default: the gate's, else the experiment's name."
)
@JSON
def promote(run_id: str, model: str | None, as_json: bool) -> None:
    """Make the model of RUN_ID the champion by hand, whatever its gate said."""
    from flows.promoting import promote_run

    print_json(promote_run(run_id, model, as_json=as_json), as_json)


@click.command()
@click.argument("model")
@JSON
def rollback(model: str, as_json: bool) -> None:
    """Make the champion of before the champion of MODEL again."""
    from flows.promoting import roll_back_model

    print_json(roll_back_model(model, as_json=as_json), as_json)
