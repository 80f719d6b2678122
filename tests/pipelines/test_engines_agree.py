"""The real job on both engines, with one and two workers, and in an object store: the same bytes."""

from __future__ import annotations

import fsspec
import numpy as np
import soundfile

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


def test_a_replaced_recording_renders_its_mixtures_anew_though_nothing_moves_in_the_store(tmp_path):
    data, rng = tmp_path / "data", np.random.default_rng(0)
    (data / "FSD50K.ground_truth").mkdir(parents=True)
    # White noise at full scale is stored verbatim by FLAC, so that every clip has the same size whatever its samples.
    for name in "12":
        soundfile.write(data / f"{name}.wav", rng.uniform(-0.99, 0.99, 16000), 16000, subtype="PCM_16")
    rows = "fname,labels,mids,split\n1,Bark,/m/05tny_,train\n2,Rain,/m/06mb1,train\n"
    (data / "FSD50K.ground_truth" / "dev.csv").write_text(rows)
    recipe = tmp_path / "noise.yaml"
    recipe.write_text(f"name: noise\npartitions: 1\ndata: {{root: {data}, datasets: [{{adapter: fsd50k}}]}}\n"
                      "audio: {sample_rate: 16000}\nmix: {duration_s: 1}\n")  # fmt: skip
    arguments = ["run", str(recipe), "--out", str(tmp_path / "run"), "--quiet", "--engine", "inline"]
    assert main(arguments) == 0
    soundfile.write(data / "1.wav", rng.uniform(-0.99, 0.99, 16000), 16000, subtype="PCM_24")
    assert main(arguments) == 0
    assert main(["verify", str(tmp_path / "run")]) == 0


def test_what_a_killed_run_of_an_older_recipe_left_is_tidied(small_recipe, tmp_path):
    arguments = ["run", str(small_recipe), "--out", str(tmp_path / "run"), "--quiet", "--engine", "inline"]
    assert main(arguments) == 0
    old = next((tmp_path / "run" / "store").glob("ingest-*"))
    assert main([*arguments, "--set", "audio.clip_s=2"]) == 0
    (old / ".tmp-of-a-killed-run").write_text("half")
    (old / "p00001.json").unlink()
    (tmp_path / "run" / ".tmp-abc-seal.json").write_text("half")
    assert main([*arguments, "--set", "audio.clip_s=2"]) == 0
    assert main(["verify", str(tmp_path / "run")]) == 0


def test_a_mistake_that_is_found_late_leaves_a_finished_run_sealed(small_recipe, tmp_path):
    arguments = ["run", str(small_recipe), "--out", str(tmp_path / "run"), "--quiet"]
    assert main([*arguments, "--engine", "inline"]) == 0
    assert main([*arguments, "--set", "mix.per_clip=3", "--ray-address", "127.0.0.1:1"]) == 2
    assert main(["verify", str(tmp_path / "run")]) == 0


def test_a_listed_file_that_is_gone_when_it_is_read_stops_the_run_and_is_no_reject(
    small_recipe, tmp_path, monkeypatch, capsys
):
    from pipelines.ingest.index import Index

    listed = Index.stream

    def lost_after(self, context):
        for result in listed(self, context):
            for row in result.rows:
                row["file_bytes"] += 1
            yield result

    monkeypatch.setattr(Index, "stream", lost_after)
    assert main(["run", str(small_recipe), "--out", str(tmp_path / "run"), "--quiet", "--engine", "inline"]) == 1
    assert "since it was listed" in capsys.readouterr().err


def test_an_object_store_holds_the_same_bytes_and_answers_every_command(capsys, small_recipe, tmp_path):
    url = "memory://agree/run"
    for out in (str(tmp_path / "local"), url):
        assert main(["run", str(small_recipe), "--out", out, "--quiet", "--engine", "inline"]) == 0
    store = fsspec.filesystem("memory")
    local = {p.relative_to(tmp_path / "local"): p.read_bytes() for p in (tmp_path / "local").rglob("*") if p.is_file()}
    for name, data in local.items():
        remote = store.cat_file(f"/agree/run/{name}")
        assert remote == data or name.suffix == ".json"  # markers hold seconds
    for command in (
        ["verify", url],
        ["status", url],
        ["report", url],
        ["query", url, "SELECT * FROM markers"],
        ["verify", url],
    ):
        assert main(command) == 0, capsys.readouterr().err
