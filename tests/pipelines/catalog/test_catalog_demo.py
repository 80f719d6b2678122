"""The catalogue of a real run, beside what the run itself says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipelines.catalog import query
from pipelines.catalog.build import build_catalog
from pipelines.catalog.show import read_table, rows
from pipelines.core.workspace import Workspace

Row = dict[str, Any]


def test_the_catalogue_of_a_run_says_what_the_run_says(demo: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    counts = build_catalog([str(demo)], out)
    run = Workspace(str(demo))

    def asked(sql: str) -> list[tuple[Any, ...]]:
        return query.rows(run, sql)[1]

    members = read_table(out, "members").to_pylist()
    found = [(row["member_id"], row["recording_id"], row["group_id"], row["withheld"]) for row in members]
    groups = "SELECT clip_id, recording_id, group_id, withheld FROM clips JOIN groups USING (clip_id) ORDER BY 1"
    assert found == asked(groups)
    # What a run has settled itself is settled.
    assert (counts["leaks"], counts["leaking_groups"]) == (0, 0)
    links = """
        SELECT DISTINCT least(a.recording_id, b.recording_id), greatest(a.recording_id, b.recording_id)
        FROM (SELECT clip_id, unnest(links) AS link FROM groups) g JOIN clips a USING (clip_id)
        JOIN clips b ON link.clip_id = b.clip_id WHERE a.recording_id != b.recording_id ORDER BY 1, 2"""
    assert [row[:2] for row in rows(out, "near_duplicates")[1]] == asked(links)
    texts = {row["member_id"]: row["captions"] for row in members if row["captions"]}
    accepted = asked("SELECT clip_id, [caption] FROM captions WHERE decision = 'accepted'")
    assert texts == dict(accepted)
    assert counts["members"] == asked("SELECT count(*) FROM clips")[0][0]


def test_a_run_and_the_metadata_it_came_from_are_one_dataset(demo: Path, sample: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "listed.yaml"
    text = (Path(__file__).parents[3] / "configs" / "demo.yaml").read_text()
    recipe.write_text(text.replace("name: demo", "name: listed"))
    out = str(tmp_path / "out")
    build_catalog([str(demo), str(recipe)], out, overrides=[f"data.root={sample}"])
    by_run: dict[str, dict[str, Row]] = {}
    for row in read_table(out, "members").to_pylist():
        by_run.setdefault(row["run"], {})[row["member_id"]] = row
    run, listed = (by_run[name] for name in sorted(by_run, key=lambda name: name == "listed"))
    assert set(run) <= set(listed)
    for key, row in run.items():
        assert (row["dataset"], row["recording_id"]) == (
            listed[key]["dataset"],
            listed[key]["recording_id"] or row["recording_id"],
        )
        assert row["present"] is listed[key]["present"] is True
    cells = {row[:4]: row[4] for row in rows(out, "overlap")[1]}
    for dataset in {row["dataset"] for row in run.values()}:
        assert cells[dataset, "*", dataset, "*"] == len(
            {row["recording_id"] for row in [*run.values(), *listed.values()] if row["dataset"] == dataset} - {None}
        )
