"""Builds the catalogue of many runs with Apache Beam, over their tables alone: Parquet to Parquet."""

from __future__ import annotations

import glob
import io
import json
import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.catalog.query import render
from pipelines.catalog.tables import CATALOG_TABLES, SOURCES
from pipelines.core.commit import table_name
from pipelines.core.workspace import Workspace, open_workspace
from pipelines.seal import read_seal
from schemas import tables
from schemas.errors import RunStopped, UserError

_log = logging.getLogger(__name__)


def build_catalog(
    runs: Sequence[str], out: str, runner: str = "FnApiRunner", runner_options: Sequence[str] = ()
) -> dict[str, int]:
    """Write ``CATALOG_TABLES`` over finished runs to ``<out>/<table>.parquet``; equal runs give equal bytes.

    Args:
        runs: run folders, paths or URLs, in any order; one that is named twice counts once.
        out: folder to write to. Workers on other machines must see it, and the runs, under the same names.
        runner: a Beam runner's name. ``FnApiRunner`` works in this process and fetches nothing;
            ``DirectRunner`` prefers Prism, which is a binary that it fetches.
        runner_options: Beam's own options, e.g. ``--flink_master=host:8081``.

    Returns:
        the rows of each table, and ``leaks``: the recordings in more than one of train, val and test.

    Raises:
        UserError: no such run, one that is not finished or not whole, ``out`` is a run, no such runner.
        RunStopped: the runner failed.
    """
    sources = sources_of(runs)
    workspace = open_workspace(out)
    if workspace.exists("run.json"):
        raise UserError(f"--out {out}: holds a run; name another folder for the catalogue")
    _run_pipeline(sources, workspace, runner, runner_options)
    made = {name: read_table(out, name) for name in CATALOG_TABLES}
    leaks = made["recordings"].column("leaks").to_pylist()
    return {name: table.num_rows for name, table in made.items()} | {"leaks": sum(leaks)}


def sources_of(runs: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return, for each table that is read, the pattern of its files in each run, by the run's name.

    Raises:
        UserError: no such run, or one that is not finished, not whole, or of another version.
    """
    if not runs:
        raise UserError("runs: none is named; name one or several run folders")
    spaces = sorted({_open_run(run) for run in runs}, key=lambda workspace: workspace.root)
    names = _names([workspace.root for workspace in spaces])
    sources: dict[str, dict[str, str]] = {table: {} for table in SOURCES}
    for workspace, name in zip(spaces, names, strict=True):
        seal = _seal(workspace)
        for table, (stage, _) in SOURCES.items():
            folder = seal["stages"][stage]
            wanted = {table_name(folder, p) for p in range(seal["partitions"])}
            if gone := sorted(wanted - workspace.sizes(folder).keys()):
                raise UserError(f"{workspace.root}: {gone[0]} is missing; see `earloom verify`")
            sources[table][name] = f"{glob.escape(workspace.path(folder))}/p?????.parquet"
    return sources


def read_table(out: str, table: str) -> pa.Table:
    """Return a table of the catalogue in ``out``; UserError if there is none."""
    workspace = Workspace(out.rstrip("/"))
    try:
        return pq.read_table(pa.BufferReader(workspace.read(f"{table}.parquet")))
    except FileNotFoundError:
        raise UserError(f"{out}: holds no {table}.parquet; build the catalogue first") from None


def rows(out: str, table: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Return the column names and the rows of a table of the catalogue, as ``query.render`` takes them."""
    found = read_table(out, table)
    return found.column_names, [tuple(row.values()) for row in found.to_pylist()]


def catalog_tables(out: str) -> str:
    """Return the statistics and the overlap of a catalogue as text."""
    return "\n\n".join(render(*rows(out, table), "table") for table in ("statistics", "overlap"))


def _open_run(run: str) -> Workspace:
    if "://" not in run and not os.path.isdir(run):
        raise UserError(f"{run}: is no folder; name a run folder, what was given as --out")
    return open_workspace(run)


def _seal(workspace: Workspace) -> dict[str, Any]:
    try:
        frozen = json.loads(workspace.read("run.json"))
        seal = read_seal(workspace)
    except FileNotFoundError:
        raise UserError(f"{workspace.root}: holds no run; name a folder that was given as --out") from None
    except ValueError:
        raise UserError(f"{workspace.root}: its run or seal file was altered; see `earloom verify`") from None
    if seal is None:
        raise UserError(f"{workspace.root}: this run is not finished; the same command goes on where it was")
    if frozen["tables"] != tables.VERSION:
        raise UserError(f"{workspace.root}: its tables are not of version {tables.VERSION}; run it anew")
    return seal


def _names(roots: list[str]) -> list[str]:
    """Return the ends of the paths that tell them apart: moving all of them together changes none."""
    parts = [root.split("/") for root in roots]
    common = 0
    while all(len(part) > common + 1 and part[common] == parts[0][common] for part in parts):
        common += 1
    return ["/".join(part[common:]) for part in parts]


def _run_pipeline(sources: dict[str, dict[str, str]], out: Workspace, runner: str, options: Sequence[str]) -> None:
    with _quiet():
        # Beam is a second's import, logs while it is imported, and is needed here alone.
        import apache_beam as beam
        from apache_beam.runners.runner import PipelineState

        from pipelines.catalog.transforms import add_catalogue
    parsed = _parse_options([f"--runner={runner}", *options])
    with _quiet():
        try:
            pipeline = beam.Pipeline(options=parsed)
            add_catalogue(pipeline, sources, out.root)
        except (ImportError, ValueError) as error:
            raise UserError(f"--runner {runner}: {' '.join(str(error).split())[:400]}") from None
        for table in CATALOG_TABLES:
            # A build that fails must not leave its own tables among those of an earlier one.
            out.remove(f"{table}.parquet")
        try:
            state = pipeline.run().wait_until_finish()
        except Exception as error:
            raise RunStopped(f"--runner {runner}: {_last_line(error)}") from error
    if state != PipelineState.DONE:
        raise RunStopped(f"--runner {runner}: the pipeline ended as {state}; the runner's own log says why")


def _parse_options(options: list[str]) -> Any:
    """Return Beam's options, with one line where its parser would print its whole usage and exit."""
    from apache_beam.options.pipeline_options import PipelineOptions

    said = io.StringIO()
    try:
        with _quiet(), redirect_stderr(said):
            parsed = PipelineOptions(options)
            known = parsed.get_all_options().keys()
            unknown = parsed.get_all_options(retain_unknown_options=True).keys() - known
    except SystemExit:
        raise UserError(f"runner options: {said.getvalue().strip().rpartition('error: ')[2]}") from None
    for name in sorted(unknown):
        # A runner that is written in another language may have options of its own.
        _log.warning("runner options: --%s is no option of Beam's; passed on as it is", name)
    return parsed


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Beam from logging and warning: what it logs as an error it also raises."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.disable(before)


def _last_line(error: Exception) -> str:
    """Return the line that says what went wrong: runners send the worker's whole traceback."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]
