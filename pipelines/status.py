"""What a run holds and what it lacks, from its files alone; and in words, for a person."""

from __future__ import annotations

import shlex
from typing import Any

import yaml

from pipelines.assemble import stages_of
from pipelines.catalog import query
from pipelines.core.commit import ALL
from pipelines.core.work import Work, survey, why
from pipelines.core.workspace import Workspace
from pipelines.made import made
from pipelines.seal import read_seal
from schemas.errors import RunStopped, UserError
from schemas.load import parse_recipe

DROPPED = """
    SELECT stage, reason, count(*) AS n FROM drops WHERE stage NOT LIKE 'listen_%' AND stage <> 'publisher'
    GROUP BY ALL ORDER BY n DESC, stage, reason LIMIT 12"""
"""What was left out; that a listener heard nothing, or a publisher said nothing, is no loss."""

TELLING = """
    SELECT clip_id, caption, method, round(score, 2) AS score, round(probability, 2) AS probability FROM captions
    WHERE decision = 'accepted'
    QUALIFY row_number() OVER (PARTITION BY dataset ORDER BY style = 'temporal' DESC, length(caption) DESC, clip_id) = 1
    ORDER BY dataset LIMIT 4"""
"""One accepted caption per dataset, first of those that tell an order."""


def status(workspace: Workspace) -> dict[str, Any]:
    """Return per stage: partitions committed and in all, rows in and out, rejects, drops, seconds; and whether it is sealed.

    Of a run that is not, `absent` says by stage why what made it cannot be asked; it is then known by its folder.

    Raises:
        UserError: the folder holds no run.
        RunStopped: its seal was altered.
    """
    try:
        recipe = parse_recipe(yaml.safe_load(workspace.read("recipe.yaml")), "recipe.yaml")
    except FileNotFoundError:
        raise UserError(f"{workspace.root}: holds no run; name the folder that was given as --out") from None
    try:
        seal = read_seal(workspace)
    except ValueError:
        raise RunStopped(f"{workspace.root}: its seal was altered; `earloom verify` says more") from None
    absent: dict[str, str] = {}
    if seal:
        # What is sealed is what was made, also where prompts or tables have changed since.
        order = [stage.name for stage in stages_of(recipe, check=False) if stage.name in seal["stages"]]
        folders = {name: seal["stages"][name] for name in (*order, *seal["stages"])}
    else:
        here = made(workspace, recipe, {})
        folders, absent = {node.stage.name: node.folder for node in here.nodes}, here.absent
    stages = []
    for name, folder in folders.items():
        markers = survey(folder, workspace).markers
        found = markers.values()
        stages.append(
            {
                "stage": name,
                "folder": folder,
                "committed": len(markers),
                "partitions": 1 if ALL in markers else recipe.partitions,
                "rows_in": sum(m.rows_in for m in found),
                "rows_out": sum(m.rows_out for m in found),
                "rejects": sum(m.rejects for m in found),
                "drops": sum(m.drops for m in found),
                "unexpected": sum(m.unexpected for m in found),
                "seconds": round(sum(m.seconds for m in found), 3),
            }
        )
    state = {"name": recipe.name, "root": workspace.root, "finished": seal is not None, "stages": stages}
    return state | {"absent": absent}


def status_table(state: dict[str, Any]) -> str:
    """Return the status as a table with one line of words below, and one for each thing that is not here."""
    names = ["stage", "committed", "rows in", "rows out", "rejects", "drops", "seconds"]
    found = [
        (
            s["stage"],
            f"{s['committed']}/{s['partitions']}",
            s["rows_in"],
            s["rows_out"],
            s["rejects"],
            s["drops"],
            s["seconds"],
        )
        for s in state["stages"]
    ]
    words = "finished and sealed" if state["finished"] else "not finished; the same `earloom run` goes on from here"
    lines = [query.render(names, found, "table"), "", f"{state['name']} in {state['root']}: {words}"]
    for gone in dict.fromkeys(state["absent"].values()):
        stages = ", ".join(name for name, each in state["absent"].items() if each == gone)
        lines.append(f"{gone}; told from their folders alone: {stages}")
    return "\n".join(lines)


def plan_table(work: Work) -> str:
    """Return what a run would do: per stage, what is here, what is to be done, and why."""
    found = []
    for node in work.nodes:
        name, total = node.stage.name, work.total(node)
        ready, done = len(work.ready[name]), work.tally[name].commits
        waiting = total - ready - done
        if done == total:
            words = "here already"
        elif ready:
            words = why(node, work)
        else:
            blockers = [source.stage.name for source in node.inputs if not work.finished(source)]
            words = f"{why(node, work)}; waits for {', '.join(blockers)}"
            if work.standing[name].markers:
                words = f"waits for {', '.join(blockers)}; what is here stays if that comes out the same"
        found.append((name, node.fingerprint, f"{done}/{total}", ready + waiting, words))
    return query.render(["stage", "fingerprint", "here", "to do", "why"], found, "table")


def summary(workspace: Workspace, work: Work) -> str:
    """Return what a finished run made: counts, a few captions with their evidence, and how to ask more."""
    state = status(workspace)
    lines = [status_table(state), ""]
    rejects = query.dicts(
        workspace, "SELECT stage, error, count(*) AS n FROM rejects GROUP BY ALL ORDER BY n DESC, stage, error LIMIT 12"
    )
    if rejects:
        lines += [
            "Rejected, each a row of `rejects`: " + ", ".join(f"{r['n']} {r['error']} ({r['stage']})" for r in rejects),
            "",
        ]
    dropped = query.dicts(workspace, DROPPED)
    if dropped:
        said = ", ".join(f"{r['n']} {r['reason']} ({r['stage']})" for r in dropped)
        lines += ["Left out on purpose, each a row of `drops`: " + said, ""]
    lines += [*_promises(workspace), ""]
    shown = query.dicts(workspace, TELLING)
    for row in shown:
        evidence = query.dicts(
            workspace,
            """
            SELECT kind, name, onset_s, offset_s, value, unit, listener FROM evidence
            WHERE clip_id = ? AND kind IN ('tag', 'event', 'keyword') AND NOT ends_with(name, '_span') ORDER BY evidence_id LIMIT 5""",
            [row["clip_id"]],
        )
        lines += [
            f"  {row['caption']}",
            f"      {row['clip_id']}, {row['method']}, agreement {row['score']}, {_sure(row['probability'])}; heard: "
            + "; ".join(_evidence(item) for item in evidence),
        ]
    shards = query.dicts(
        workspace,
        "SELECT kind, regexp_replace(tar, '/[^/]*$', '') AS folder, count(DISTINCT tar) AS shards, "
        "count(*) AS samples FROM samples GROUP BY ALL ORDER BY ALL",
    )
    lines += ["", "Shards:"]
    lines += [
        f"  {s['samples']} {s['kind']} samples in {s['shards']} tars: {workspace.path(s['folder'])}/" for s in shards
    ] or ["  none"]
    root = shlex.quote(workspace.root)
    lines += [
        "",
        "Ask more:",
        f'  earloom query {root} "SELECT class_name, count(*) AS clips FROM classes GROUP BY ALL ORDER BY clips DESC LIMIT 10"',
        f'  earloom query {root} "SELECT stage, clip_id, error, message FROM rejects"',
        *(f"  earloom explain {root} {row['clip_id']}" for row in shown[:1]),
        f"  earloom verify {root}",
    ]
    return "\n".join(lines)


def _evidence(item: dict[str, Any]) -> str:
    when = "" if item["onset_s"] is None else f" {item['onset_s']:.1f}-{item['offset_s']:.1f} s"
    return f"{item['name']}{when} ({item['listener']})"


def _promises(workspace: Workspace) -> list[str]:
    """Return how many captions were accepted, and what the gate promises of those that it accepts."""
    decided = query.dicts(
        workspace, "SELECT decision, count(*) AS n FROM captions GROUP BY ALL ORDER BY n DESC, decision"
    )
    lines = ["Captions: " + (", ".join(f"{row['n']} {row['decision']}" for row in decided) or "none")]
    lines += [
        f"The gate of {row['stratum']}: of wrong captions {_percent(row, 'false_accept')} are accepted, of true ones "
        f"{_percent(row, 'keep')} kept (measured out of fold on {row['positives']} true and {row['negatives']} wrong ones)"
        for row in query.dicts(
            workspace, "SELECT * FROM gates WHERE state = 'certified' ORDER BY positives DESC LIMIT 5"
        )
    ] or ["The gate holds no rate here: too few captions of known truth, or none was asked for; `gates` says more"]
    return lines


def _percent(row: dict[str, Any], what: str) -> str:
    value, low, high = (100.0 * row[f"{what}_{part}"] for part in ("rate", "low", "high"))
    return f"{value:.1f}% [{low:.1f}, {high:.1f}]"


def _sure(probability: float | None) -> str:
    return "uncalibrated" if probability is None else f"probability {probability:.2f}"
