"""Asking a run in SQL: the only place where DuckDB is opened on a workspace."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import duckdb
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from pipelines.core.commit import parse_marker
from pipelines.core.workspace import Workspace
from pipelines.seal import read_seal
from schemas.errors import RunStopped, UserError

_THE_SQL = (
    *(duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException, duckdb.ConversionException),
    *(duckdb.OutOfRangeException, duckdb.NotImplementedException),
)
"""What no altered file can cause where the SQL is the user's: DuckDB has other names for a file that it cannot read."""


@contextmanager
def connect(workspace: Workspace) -> Iterator[duckdb.DuckDBPyConnection]:
    """Give an in-memory DuckDB with the run's views.

    Raises:
        UserError: the folder holds no finished run.
        RunStopped: files of the run are missing, or DuckDB fails in the block, which holds SQL of our own.
    """
    try:
        sql = workspace.read("views.sql").decode()
    except FileNotFoundError:
        raise UserError(
            f"{workspace.root}: holds no views.sql, so no run has finished here; see `earloom status`"
        ) from None
    sql = re.sub(r"'([^']+\.(?:parquet|json))'", lambda found: _quoted(workspace.path(found[1])), sql)
    try:
        with duckdb.connect() as connection:
            if not workspace.local:
                connection.register_filesystem(_filesystem(workspace))
            connection.execute(sql)
            yield connection
    except (duckdb.Error, UnicodeDecodeError) as error:
        raise damaged(workspace) or RunStopped(
            f"{workspace.root}: cannot be read ({_one_line(str(error))}); `earloom verify` may say more"
        ) from None


def damaged(workspace: Workspace) -> RunStopped | None:
    """Return what is wrong with the run's tables, told by their hashes alone; None: they are as they were written."""
    try:
        seal = read_seal(workspace) or {"files": {}}
        for marker in (name for name in seal["files"] if name.endswith(".json")):
            told = parse_marker(workspace.read(marker)) if "/" in marker else None
            for name, facts in told.files.items() if told else ():
                if name.endswith(".parquet") and workspace.sha256(name) != facts["sha256"]:
                    return RunStopped(
                        f"{workspace.path(name)}: was altered; `earloom verify {workspace.root}` says more"
                    )
    except FileNotFoundError:
        return RunStopped(f"{workspace.root}: files of the run are missing; run the same recipe into that folder again")
    except ValueError:
        return RunStopped(f"{workspace.root}: its seal was altered; `earloom verify {workspace.root}` says more")
    return None


def _quoted(path: str) -> str:
    return "'" + path.replace("'", "''") + "'"


def _filesystem(workspace: Workspace) -> Any:
    import fsspec

    return fsspec.core.url_to_fs(workspace.root)[0]


def rows(
    workspace: Workspace, sql: str, parameters: list[Any] | None = None
) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Return the column names and the rows of a user's query.

    Raises:
        UserError: DuckDB refuses it, or the folder holds no finished run.
        RunStopped: files of the run are missing, or were altered.
    """
    if not sql.strip(" \n\t;"):
        raise UserError("query: the SQL is empty")
    with connect(workspace) as connection:
        try:
            cursor = connection.execute(sql, parameters or [])
            return [item[0] for item in cursor.description or []], cursor.fetchall()
        except AttributeError:  # DuckDB gives nothing back for a comment alone
            raise UserError("query: the SQL is empty") from None
        except _THE_SQL as error:
            raise UserError(f"query: {_one_line(str(error))}") from None
        except duckdb.Error as error:
            raise damaged(workspace) or UserError(f"query: {_one_line(str(error))}") from None


def dicts(workspace: Workspace, sql: str, parameters: list[Any] | None = None) -> list[dict[str, Any]]:
    """Return the rows of a query of our own as dicts; raises as :func:`connect`."""
    with connect(workspace) as connection:
        cursor = connection.execute(sql, parameters or [])
        names = [item[0] for item in cursor.description or []]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def render(names: list[str], found: list[tuple[Any, ...]], form: str) -> str:
    """Return query results as ``table``, ``json`` (a list of objects) or ``csv``."""
    if form == "json":
        return json.dumps(
            [dict(zip(names, map(_json, row), strict=True)) for row in found], default=str, ensure_ascii=False
        )
    if form == "csv":
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(names)
        writer.writerows([_flat(value) for value in row] for row in found)
        return out.getvalue().rstrip("\n")
    table = Table(
        *(Column(Text(name), overflow="fold") for name in names), box=None, padding=(0, 2, 0, 0), header_style="bold"
    )
    for row in found:
        table.add_row(*(_cell(value) for value in row))
    # A terminal folds what is too wide for it; a file or a pipe gets whole lines.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 10_000)
    with console.capture() as captured:
        console.print(table)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def _json(value: Any) -> Any:
    """Return a value that JSON can hold: infinity and NaN are none of its numbers, and become null."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _flat(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, (list, dict)) else value


def _cell(value: Any) -> Text:
    if value is None:
        return Text("·")
    return Text(f"{value:.4g}" if isinstance(value, float) else str(value))


def _one_line(text: str) -> str:
    return " ".join(part.strip() for part in text.splitlines() if part.strip() and set(part.strip()) != {"^"})[:400]
