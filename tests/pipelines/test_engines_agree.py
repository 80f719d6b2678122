"""The real job on both engines, with one and two workers, and in an object store: the same bytes."""

from __future__ import annotations

import fsspec

from kill import data_files
from pipelines.cli import main


def test_inline_and_ray_with_one_and_two_workers_agree(small_recipe, tmp_path):
    for name, engine in (
        ("inline", ["inline"]),
        ("one", ["ray", "--workers", "1"]),
        ("two", ["ray", "--workers", "2"]),
    ):
        assert main(["run", str(small_recipe), "--out", str(tmp_path / name), "--quiet", "--engine", *engine]) == 0
    assert data_files(tmp_path / "inline") == data_files(tmp_path / "one") == data_files(tmp_path / "two") != {}


def test_an_object_store_holds_the_same_bytes_and_answers_every_command(capsys, small_recipe, tmp_path):
    url = "memory://bucket/run"
    for out in (str(tmp_path / "local"), url):
        assert main(["run", str(small_recipe), "--out", out, "--quiet", "--engine", "inline"]) == 0
    store = fsspec.filesystem("memory")
    local = {p.relative_to(tmp_path / "local"): p.read_bytes() for p in (tmp_path / "local").rglob("*") if p.is_file()}
    for name, data in local.items():
        remote = store.cat_file(f"/bucket/run/{name}")
        assert remote == data or name.suffix == ".json"  # markers hold seconds
    for command in (
        ["verify", url],
        ["status", url],
        ["report", url],
        ["query", url, "SELECT * FROM markers"],
        ["verify", url],
    ):
        assert main(command) == 0, capsys.readouterr().err
