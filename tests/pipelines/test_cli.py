"""The commands: exit 2 and one line for a user's mistake, 1 for a run that is not whole, 0 only when every law holds."""

from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from pipelines.catalog import query
from pipelines.cli import main
from pipelines.core.workspace import Workspace
from pipelines.run import alone

ROOT = Path(__file__).parents[2]
DEMO = str(ROOT / "configs" / "demo.yaml")


def mistake(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Return the one line that a mistake costs."""
    assert main(list(arguments)) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert "Traceback" not in captured.err
    return captured.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "nowhere.yaml", "--out", "x"], "no such file"),
        (["run", DEMO], "required: --out"),
        (["rnu"], "invalid choice"),
        (["run", DEMO, "--out", "{tmp}/x"], "data.root: missing"),
        (["run", DEMO, "--out", "{tmp}/x", "--set", "data.root={tmp}/none"], "is no folder"),
        (["run", DEMO, "--out", "{tmp}/x", "--set", "data.root={tmp}"], "audioset"),
        (
            ["run", DEMO, "--out", "{tmp}/x", "--set", "data.root={tmp}", "--set", "mix.per_clp=2"],
            "did you mean 'per_clip'",
        ),
        (
            ["run", DEMO, "--out", "{tmp}/x", "--set", "data.root={tmp}", "--set", "listen.listeners=[fatcs]"],
            "did you mean 'facts'",
        ),
        (
            [
                "run",
                DEMO,
                "--out",
                "{tmp}/x",
                "--set",
                "data.root={tmp}",
                "--set",
                "describe.phrases=prompts/none.yaml",
            ],
            "none.yaml",
        ),
        (
            ["run", DEMO, "--out", "{tmp}/x", "--set", "data.root={tmp}", "--set", "data.datasets=[esc5]"],
            "did you mean 'esc50'",
        ),
        (["run", DEMO, "--out", "{tmp}/file", "--set", "data.root={tmp}"], "is a file"),
        (["run", DEMO, "--out", "{tmp}/full", "--set", "data.root={tmp}"], "not empty and holds no run"),
        (["run", DEMO, "--out", "{tmp}/x", "--workers", "0"], "at least 1"),
        (["verify", "{tmp}/none"], "no such folder"),
        (["verify", "{tmp}"], "holds no run"),
        (["status", "{tmp}"], "holds no run"),
        (["query", "{tmp}", "SELECT 1"], "no run has finished here"),
        (["explain", "{tmp}", "x"], "no run has finished here"),
    ],
)
def test_a_mistake_costs_one_line(capsys, tmp_path, arguments, words):
    (tmp_path / "file").write_text("x")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "precious.txt").write_text("x")
    assert words in mistake(capsys, *(a.replace("{tmp}", str(tmp_path)) for a in arguments))
    assert not (tmp_path / "x" / "seal.json").exists()


def test_a_split_in_a_datasets_own_table_cannot_lead_out_of_the_run_folder(tmp_path):
    data, out = tmp_path / "data", tmp_path / "a" / "b" / "run"
    (data / "FSD50K.ground_truth").mkdir(parents=True)
    sf.write(data / "1.wav", np.sin(np.arange(16000) / 5), 16000)
    sf.write(data / "2.wav", np.sin(np.arange(16000) / 9), 16000)
    rows = "fname,labels,mids,split\n1,Bark,/m/05tny_,../../../pwned\n2,Rain,/m/06mb1,train\n"
    (data / "FSD50K.ground_truth" / "dev.csv").write_text(rows)
    recipe = str(ROOT / "configs" / "fsd50k.yaml")
    arguments = [
        "run",
        recipe,
        "--set",
        f"data.root={data}",
        "--set",
        "partitions=1",
        "--out",
        str(out),
        "--engine",
        "inline",
        "--quiet",
    ]
    assert main(arguments) == 0
    assert not list(tmp_path.rglob("*pwned*"))
    rejects = query.dicts(Workspace(str(out)), "SELECT clip_id, error FROM rejects")
    assert rejects == [{"clip_id": "fsd50k-1", "error": "bad_row"}]


def test_a_second_run_in_the_same_folder_is_refused_while_the_first_is_at_work(capsys, small_recipe, tmp_path):
    arguments = ["run", str(small_recipe), "--out", str(tmp_path / "run"), "--engine", "inline", "--quiet"]
    (tmp_path / "run").mkdir()
    with alone(Workspace(str(tmp_path / "run"))):
        assert "another run is at work there" in mistake(capsys, *arguments)
    assert main(arguments) == 0


def test_a_run_of_which_nothing_could_be_used_is_not_called_well(capsys, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.wav").write_text("no sound")
    recipe = str(ROOT / "configs" / "folder.yaml")
    out = str(tmp_path / "run")
    assert main(["run", recipe, "--set", f"data.root={tmp_path / 'data'}", "--out", out, "--engine", "inline"]) == 1
    assert "not one recording could be used" in capsys.readouterr().err
    assert main(["verify", out]) == 0


def test_a_report_of_an_earlier_state_is_told(capsys, small_recipe, tmp_path):
    arguments = ["run", str(small_recipe), "--out", str(tmp_path / "run"), "--engine", "inline", "--quiet"]
    assert main(arguments) == main(["report", str(tmp_path / "run")]) == 0
    assert main([*arguments, "--set", "mix.per_clip=1"]) == 0
    assert main(["verify", str(tmp_path / "run")]) == 0
    assert "note: report: is of an earlier state of the run" in capsys.readouterr().out


@pytest.mark.parametrize("sql", ["", " ; ", "-- nothing"])
def test_no_sql_is_the_users_mistake(capsys, demo, sql):
    assert "the SQL is empty" in mistake(capsys, "query", str(demo), sql)


def test_what_json_cannot_hold_is_null(capsys, demo):
    assert main(["query", str(demo), "SELECT 'inf'::DOUBLE AS a, 1.5::DOUBLE AS b", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == [{"a": None, "b": 1.5}]


def test_tables_that_are_gone_are_said_to_be_gone(capsys, small_recipe, tmp_path):
    import shutil

    assert main(["run", str(small_recipe), "--out", str(tmp_path / "run"), "--engine", "inline", "--quiet"]) == 0
    shutil.rmtree(next((tmp_path / "run" / "tables").glob("plan-*")))
    assert main(["query", str(tmp_path / "run"), "SELECT 1"]) == 1
    assert "files of the run are missing" in capsys.readouterr().err


def test_an_empty_folder_is_the_users_mistake(capsys, tmp_path):
    (tmp_path / "empty").mkdir()
    recipe = str(ROOT / "configs" / "folder.yaml")
    assert (
        main(
            [
                "run",
                recipe,
                "--set",
                f"data.root={tmp_path / 'empty'}",
                "--out",
                str(tmp_path / "run"),
                "--engine",
                "inline",
            ]
        )
        == 2
    )
    assert "no recordings found" in capsys.readouterr().err


def test_the_number_of_partitions_is_frozen(capsys, small_recipe, tmp_path):
    arguments = ["run", str(small_recipe), "--out", str(tmp_path / "run"), "--engine", "inline", "--quiet"]
    assert main(arguments) == 0
    assert "partitions: this run was begun with 2, the recipe says 3" in mistake(
        capsys, *arguments, "--set", "partitions=3"
    )


def test_answers_come_as_table_json_and_csv(capsys, demo):
    sql = "SELECT dataset, count(*) AS clips FROM clips GROUP BY ALL ORDER BY ALL"
    assert main(["query", str(demo), sql, "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["dataset"] for row in rows] == ["audioset", "clotho", "fsd50k", "wavcaps"]
    assert main(["query", str(demo), sql, "--format", "csv"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "dataset,clips"
    assert main(["query", str(demo), sql]) == 0
    assert "fsd50k" in capsys.readouterr().out
    assert "Referenced table" not in mistake(capsys, "query", str(demo), "SELECT * FROM")


def test_status_and_plan_say_what_is_there(capsys, demo, sample):
    assert main(["status", str(demo), "--json"]) == 0
    state = json.loads(capsys.readouterr().out)
    assert state["finished"]
    assert [s["stage"] for s in state["stages"]][:2] == ["index", "ingest"]
    for stage in state["stages"]:
        assert stage["rows_in"] == stage["rows_out"] + stage["rejects"] + stage["drops"]
    arguments = ["plan", DEMO, "--set", f"data.root={sample}", "--out", str(demo)]
    assert main(arguments) == 0
    assert capsys.readouterr().out.count("here already") == len(state["stages"])
    assert main([*arguments, "--set", "refine.min_agreement=0.9"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "min_agreement changed" in lines["weigh"]
    assert all(
        "here already" in lines[name] for name in ("index", "ingest", "listen_facts", "unify", "describe", "score")
    )
    assert all("waits for" in lines[name] for name in ("captions", "plan", "mixtures"))


def test_one_word_of_the_phrases_replans_captions_and_what_follows_and_nothing_before(
    capsys, demo, sample, tmp_path, monkeypatch
):
    import shutil

    from schemas import ontology

    configs = tmp_path / "configs"
    shutil.copytree(ROOT / "configs", configs)
    phrases = configs / "prompts" / "grammar.yaml"
    phrases.write_text(phrases.read_text().replace("heard", "audible", 1))
    for module in [
        module for module in list(sys.modules.values()) if getattr(module, "configs_dir", None) is ontology.configs_dir
    ]:
        monkeypatch.setattr(module, "configs_dir", lambda: configs)
    assert main(["plan", DEMO, "--set", f"data.root={sample}", "--out", str(demo)]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "changed" in lines["describe"]
    assert all(
        "here already" in lines[name]
        for name in ("index", "ingest", "publisher", "listen_facts", "listen_signal", "unify")
    )
    assert all("here already" not in lines[name] for name in ("score", "decide", "captions", "plan", "mixtures"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_stops_the_run_in_words(capsys, small_recipe, tmp_path):
    (tmp_path / "locked").mkdir()
    (tmp_path / "locked").chmod(stat.S_IRUSR | stat.S_IXUSR)
    assert main(["run", str(small_recipe), "--out", str(tmp_path / "locked" / "run"), "--engine", "inline"]) == 2
    assert "cannot be made" in capsys.readouterr().err


def test_the_module_and_the_command_are_one(demo):
    found = subprocess.run(
        [sys.executable, "-m", "pipelines", "models", "list"], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert "signal" in found.stdout


def test_a_reader_that_leaves_early_is_no_error(demo):
    command = f"{sys.executable} -m pipelines query {demo} 'SELECT * FROM evidence' --format csv | head -1"
    found = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert "Traceback" not in found.stderr


def test_a_full_disk_is_told_in_one_line_whatever_the_command(monkeypatch, tmp_path, capsys):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "page.html")

    monkeypatch.setattr("pipelines.report.write_report", full)
    assert main(["report", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert said == "earloom: page.html: No space left on device; mend it and run the same command again\n"
