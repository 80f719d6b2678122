"""Builds the catalogue of many corpora with Apache Beam, over their tables and metadata alone: Parquet to Parquet."""

from __future__ import annotations

import io
import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, suppress
from typing import Any

import pyarrow as pa

from pipelines.catalog.members import Names
from pipelines.catalog.show import blacklist_table, overlap_table, read_table, statistics_table
from pipelines.catalog.sources import LISTED, Sources, is_recipe, list_recipe, read_recipes, read_runs
from pipelines.catalog.tables import CATALOG_TABLES, KEYS
from pipelines.core.commit import parquet_bytes
from pipelines.core.workspace import Workspace, open_workspace
from schemas.errors import RunStopped, UserError

_log = logging.getLogger(__name__)
_NAMES = f"{LISTED}/blacklists.parquet"


def build_catalog(
    sources: Sequence[str],
    out: str,
    runner: str = "FnApiRunner",
    runner_options: Sequence[str] = (),
    overrides: Sequence[str] = (),
) -> dict[str, int]:
    """Write ``CATALOG_TABLES`` to ``<out>/<table>.parquet``; equal sources give equal bytes.

    Args:
        sources: finished runs (folders, paths or URLs) and recipes (``*.yaml``), in any order; one that is named
            twice counts once. Of a recipe the metadata of its datasets are read, so that no audio is needed; what
            ``data.licence`` and ``data.decontaminate`` leave out of a run is in the catalogue.
        out: folder to write to. Workers on other machines must see it, and the runs, under the same names.
        runner: a Beam runner's name. ``FnApiRunner`` works in this process and fetches nothing;
            ``DirectRunner`` prefers Prism, which is a binary that it fetches.
        runner_options: Beam's own options, e.g. ``--flink_master=host:8081``.
        overrides: ``a.b=c`` over every recipe, e.g. ``data.root=DIR``.

    Returns:
        the rows of each table, ``leaks``: the recordings in more than one of train, val and test, and ``leaking_groups``.

    Raises:
        UserError: no such run, one that is not finished or not whole, no such recipe or dataset, metadata that cannot
            be read, ``out`` is a run, no such runner.
        RunStopped: the runner failed.
    """
    if not sources:
        raise UserError("sources: none is named; name run folders, or recipes (*.yaml)")
    recipes = read_recipes([source for source in sources if is_recipe(source)], overrides)
    if overrides and not recipes:
        raise UserError(f"--set {overrides[0]}: no recipe is named that it could change; a run is as it is")
    runs = read_runs([source for source in sources if not is_recipe(source)])
    if both := sorted(recipes.keys() & runs.keys()):
        raise UserError(f"{both[0]}: is the name of a run and of a recipe; give the recipe another: --set name=...")
    workspace = open_workspace(out)
    if workspace.exists("run.json"):
        raise UserError(f"--out {out}: holds a run; name another folder for the catalogue")
    found = Sources([piece for name in sorted(runs) for piece in runs[name]])
    try:
        for name in sorted(recipes):
            list_recipe(name, recipes[name], workspace, found)
        _run_pipeline(found, _write_names(found, workspace), workspace, runner, runner_options)
    finally:
        _clear(workspace)
    refused = pa.concat_tables([CATALOG_TABLES["refused"].empty_table(), *found.refused])
    refused = refused.sort_by([(key, "ascending") for key in KEYS["refused"]])
    workspace.write("refused.parquet", parquet_bytes(refused.combine_chunks()))
    return _counts(out)


def catalog_tables(out: str) -> str:
    """Return the statistics of a catalogue, its overlap, and what blacklists miss, as text."""
    return "\n\n".join(filter(None, (statistics_table(out), overlap_table(out), blacklist_table(out))))


def _counts(out: str) -> dict[str, int]:
    counts = {name: read_table(out, name).num_rows for name in CATALOG_TABLES}
    leaks = {"leaks": "recordings", "leaking_groups": "groups"}
    return counts | {name: sum(read_table(out, table).column("leaks").to_pylist()) for name, table in leaks.items()}


def _clear(workspace: Workspace) -> None:
    """Remove the listing of recipes; its members are in the catalogue."""
    for name in workspace.sizes(LISTED):
        workspace.remove(name)
    with suppress(FileNotFoundError):
        if workspace.local:
            os.rmdir(workspace.path(LISTED))


def _write_names(found: Sources, out: Workspace) -> Names:
    pairs = sorted((recording, name) for name, recordings in found.blacklists.items() for recording in recordings)
    columns = {"recording_id": [pair[0] for pair in pairs], "blacklist": [pair[1] for pair in pairs]}
    out.write(_NAMES, parquet_bytes(pa.table(columns, schema=pa.schema(dict.fromkeys(columns, pa.string())))))
    return Names(out.root, _NAMES, tuple(sorted(found.blacklists)))


def _run_pipeline(found: Sources, names: Names, out: Workspace, runner: str, options: Sequence[str]) -> None:
    with _quiet():
        # Beam is a second's import, logs while it is imported, and is needed here alone.
        import apache_beam as beam
        from apache_beam.runners.runner import PipelineState

        from pipelines.catalog.transforms import add_catalogue
    parsed = _parse_options([f"--runner={runner}", *options])
    with _quiet():
        try:
            pipeline = beam.Pipeline(options=parsed)
        except (ImportError, ValueError) as error:
            raise UserError(f"--runner {runner}: {' '.join(str(error).split())[:400]}") from None
        add_catalogue(pipeline, found.pieces, names, out.root)
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
