"""Asking a run in SQL: the only place where DuckDB is opened on a workspace."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import sys
from typing import Any

import duckdb
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from pipelines.core.workspace import Workspace
from schemas.errors import RunStopped, UserError


def connect(workspace: Workspace) -> duckdb.DuckDBPyConnection:
    """Return an in-memory DuckDB with the run's views.

    Raises:
        UserError: the folder holds no finished run.
    """
    try:
        sql = workspace.read("views.sql").decode()
    except FileNotFoundError:
        raise UserError(
            f"{workspace.root}: holds no views.sql, so no run has finished here; see `earloom status`"
        ) from None
    connection = duckdb.connect()
    if not workspace.local:
        connection.register_filesystem(_filesystem(workspace))
    sql = re.sub(r"'([^']+\.(?:parquet|json))'", lambda found: _quoted(workspace.path(found[1])), sql)
    try:
        connection.execute(sql)
    except duckdb.IOException:
        raise RunStopped(
            f"{workspace.root}: files of the run are missing; run the same command again to make them anew"
        ) from None
    return connection


def _quoted(path: str) -> str:
    return "'" + path.replace("'", "''") + "'"


def _filesystem(workspace: Workspace) -> Any:
    import fsspec

    return fsspec.core.url_to_fs(workspace.root)[0]


def rows(
    workspace: Workspace, sql: str, parameters: list[Any] | None = None
) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Return the column names and the rows of a query; UserError if DuckDB refuses it."""
    if not sql.strip(" \n\t;"):
        raise UserError("query: the SQL is empty")
    with connect(workspace) as connection:
        try:
            cursor = connection.execute(sql, parameters or [])
            return [item[0] for item in cursor.description or []], cursor.fetchall()
        except AttributeError:  # DuckDB gives nothing back for a comment alone
            raise UserError("query: the SQL is empty") from None
        except duckdb.Error as error:
            raise UserError(f"query: {_one_line(str(error))}") from None


def dicts(workspace: Workspace, sql: str, parameters: list[Any] | None = None) -> list[dict[str, Any]]:
    """Return the rows of a query as dicts."""
    names, found = rows(workspace, sql, parameters)
    return [dict(zip(names, row, strict=True)) for row in found]


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
