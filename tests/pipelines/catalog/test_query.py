"""A run is asked in SQL: what its files are to blame for, and what the user's SQL is, are told apart."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
from publish_runs import clip, sealed

from pipelines.catalog.query import connect, damaged, dicts, rows
from pipelines.core.workspace import Workspace
from schemas.errors import RunStopped, UserError


@pytest.fixture
def run(tmp_path: Path) -> Workspace:
    return sealed(tmp_path, *(clip(f"c{n}", f"fs:{n}") for n in range(40)))


def table(run: Workspace, stage: str) -> Path:
    """Return the file of a stage's table."""
    return next(Path(run.root).glob(f"*/{stage}-*/p00000.parquet"))


def zeroed(path: Path) -> None:
    """Overwrite all of a file but its first and last eight bytes."""
    data = path.read_bytes()
    path.write_bytes(data[:8] + bytes(len(data) - 16) + data[-8:])


def halved(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def bare(path: Path) -> None:
    """Leave out a column."""
    pq.write_table(pq.read_table(path).drop_columns(["clip_id"]), path)


@pytest.mark.parametrize("alter", [zeroed, halved, bare])
def test_an_altered_table_is_named_with_who_knows_more(run, alter):
    alter(table(run, "decide"))
    words = r"tables/decide-\w+/p00000\.parquet: was altered; `earloom verify .*run` says more$"
    with pytest.raises(RunStopped, match=words):
        dicts(run, "SELECT clip_id, caption FROM captions")
    with pytest.raises(RunStopped, match=words), connect(run) as connection:
        connection.execute("SELECT clip_id, caption FROM captions").fetchall()
    if alter is not bare:  # a column that is not there is the user's mistake as far as the SQL alone tells
        with pytest.raises(RunStopped, match=words):
            rows(run, "SELECT clip_id, caption FROM captions")


@pytest.mark.parametrize(
    "sql",
    ["SELEC", "SELECT nope FROM captions", "SELECT error('mine')", "SELECT 'a'::INT", "SELECT * FROM '/none/x.csv'"],
)
def test_the_users_sql_is_the_users_mistake_while_the_files_are_whole(run, sql):
    assert damaged(run) is None
    with pytest.raises(UserError, match=r"^query: [^\n]+$"):
        rows(run, sql)


def test_a_partition_that_is_gone_is_told(run):
    table(run, "ingest").unlink()
    with pytest.raises(RunStopped, match="files of the run are missing; run the same recipe into that folder again"):
        dicts(run, "SELECT * FROM clips")


def test_what_fails_though_no_file_was_altered_is_one_line_too(run):
    with pytest.raises(RunStopped, match=r"run: cannot be read \([^\n]+\); `earloom verify` may say more$"):
        dicts(run, "SELECT error('odd')")
    with pytest.raises(RunStopped), connect(run):
        raise duckdb.IOException("odd")
