"""The rows of one SQL query, with the database's own types."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import urlsplit
from uuid import UUID

from etude.errors import DataError, ExperimentError, InputError
from etude.reading.column_names import check_names
from etude.reading.columnar import check_flat, plain
from etude.reading.memory import check_fits, free_bytes
from etude.secrets_in_urls import check_no_password, resolved, without_secrets

if TYPE_CHECKING:
    import pyarrow as pa
    from sqlalchemy.engine import URL, Connection, CursorResult

SCHEMES = frozenset(
    (
        "postgresql",
        "postgres",
        "sqlite",
        "mysql",
        "mariadb",
        "oracle",
        "mssql",
        "duckdb",
        "snowflake",
        "redshift",
    )
)
POSTGRESQL_DRIVERS = ("psycopg", "psycopg2", "asyncpg")
BYTES_PER_VALUE = 60  # of a Python object in a row
FETCH_ROWS = 50_000
READ_ONLY = {"postgresql": "SET TRANSACTION READ ONLY", "sqlite": "PRAGMA query_only = ON"}

Rows: TypeAlias = tuple[list[str], list[Any]]


def is_database(source: str) -> bool:
    return urlsplit(source).scheme.partition("+")[0] in SCHEMES


def query_rows(
    source: str, query: str | None, folder: Path, on_progress: Callable[[int, int], None]
) -> pa.Table:
    """What ``query`` selects, in the database's order; progress counts rows, whose total nobody knows.

    The transaction is read-only where the database has such a thing, and never committed. The file of an SQLite
    database starts at ``folder``. Raises ExperimentError E101 without a query, E001 for a missing driver, database
    file or a query that fails, E136 when the database does not let us in; DataError E005, E036, E037, E040, E054
    for rows that are no table.
    """
    if not query or not query.strip():
        mend = "query: SELECT * FROM my_table ORDER BY id"
        raise ExperimentError("E101", "a database needs the key data.query", where=source, mend=mend)
    check_no_password(source)
    columns, rows = _in_own_thread(lambda: _fetched(source, query, folder, on_progress))
    check_names(columns, source)
    return _table(columns, rows, source)


def _in_own_thread(work: Callable[[], Rows]) -> Rows:
    """An asynchronous driver needs a thread without a running event loop."""
    with ThreadPoolExecutor(1, thread_name_prefix="etude-database") as threads:
        return threads.submit(work).result()


def _fetched(source: str, query: str, folder: Path, on_progress: Callable[[int, int], None]) -> Rows:
    import sqlalchemy as sql

    try:
        url = _made(source, folder)
        return (
            _from_async(url, query, on_progress)
            if url.get_dialect().is_async
            else _from_sync(url, query, on_progress)
        )
    except ImportError as error:
        mend = f"pip install {error.name}" if error.name else "install it"
        raise ExperimentError(
            "E001", "the database needs its driver", where=source, value=error, mend=mend
        ) from None
    except sql.exc.NoSuchModuleError as error:
        mend = "write it as SQLAlchemy does, such as postgresql+psycopg"
        raise ExperimentError(
            "E001", "the database must be known", where=source, value=error, mend=mend
        ) from None
    except InputError:
        raise
    except Exception as error:  # each driver has its own
        mend = "check host, user, password and database"
        value = without_secrets(_reason(error), source)
        raise ExperimentError(
            "E136", "the database must let us in", where=source, value=value, mend=mend
        ) from None


def _made(source: str, folder: Path) -> URL:
    """The URL with its password, a driver that is installed, and an SQLite file that exists."""
    import sqlalchemy as sql

    url = sql.make_url(resolved(source))
    backend = url.get_backend_name()
    if backend == "postgres":
        backend, url = "postgresql", url.set(drivername="postgresql")
    if url.drivername == "postgresql":
        driver = next((d for d in POSTGRESQL_DRIVERS if find_spec(d)), POSTGRESQL_DRIVERS[0])
        url = url.set(drivername=f"postgresql+{driver}")
    if backend == "sqlite":
        path = folder / (url.database or "")
        if not url.database or not path.is_file():
            raise ExperimentError(
                "E001", "the database file must exist", where=source, value=url.database or "none"
            )
        url = url.set(database=str(path))
    return url


def _from_sync(url: URL, query: str, on_progress: Callable[[int, int], None]) -> Rows:
    import sqlalchemy as sql

    engine = sql.create_engine(url, poolclass=sql.pool.NullPool)
    try:
        with engine.connect() as connection:
            return _selected(connection, query, on_progress)
    finally:
        engine.dispose()


def _from_async(url: URL, query: str, on_progress: Callable[[int, int], None]) -> Rows:
    import asyncio

    import sqlalchemy as sql
    from sqlalchemy.ext.asyncio import create_async_engine

    async def work() -> Rows:
        engine = create_async_engine(url, poolclass=sql.pool.NullPool)
        try:
            async with engine.connect() as connection:
                return await connection.run_sync(_selected, query, on_progress)
        finally:
            await engine.dispose()

    return asyncio.run(work())


def _selected(connection: Connection, query: str, on_progress: Callable[[int, int], None]) -> Rows:
    if statement := READ_ONLY.get(connection.dialect.name):
        connection.exec_driver_sql(statement)
    try:
        return _fetched_all(connection.exec_driver_sql(query), query, on_progress)
    except InputError:
        raise
    except Exception as error:  # what is wrong with the query, in the driver's own words
        mend = "run it in the database's own shell"
        raise ExperimentError(
            "E001", "the query must run", where="data.query", value=_reason(error), mend=mend
        ) from None


def _fetched_all(result: CursorResult[Any], query: str, on_progress: Callable[[int, int], None]) -> Rows:
    if not result.returns_rows:
        mend = "write a SELECT"
        raise ExperimentError(
            "E001", "the query must select rows", where="data.query", value=query, mend=mend
        )
    columns, free = list(result.keys()), free_bytes()
    rows: list[Any] = []
    while piece := result.fetchmany(FETCH_ROWS):
        rows.extend(piece)
        check_fits(len(rows) * len(columns) * BYTES_PER_VALUE, free, "data.query")
        on_progress(len(rows), len(rows))
    return columns, rows


def _reason(error: BaseException) -> str:
    text = str(getattr(error, "orig", None) or error)
    return (text.splitlines() or [type(error).__name__])[0]


def _table(columns: list[str], rows: list[Any], where: str) -> pa.Table:
    import pyarrow as pa

    arrays = []
    for index, name in enumerate(columns):
        values = [str(v) if isinstance(v, UUID) else v for v in (row[index] for row in rows)]
        try:
            arrays.append(pa.array(values))
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            kinds = ", ".join(sorted({type(v).__name__ for v in values if v is not None}))
            mend = "CAST it in the query"
            raise DataError(
                "E054",
                "a column must hold values of one type",
                where=f"{where}, column '{name}'",
                value=kinds,
                mend=mend,
            ) from error
    table = pa.Table.from_arrays(arrays, names=columns)
    check_flat(table.schema, where)
    return plain(table, where)
