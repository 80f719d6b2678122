"""The gate on real ESC-50 clips: fitted on some folds, its promise measured on a fold that neither it nor the CLAP has seen.

    python benchmarks/esc50_gate.py ESC-50 [--test-fold 4] [--steps 300] [--rate 0.05]

ESC-50 in the publisher's layout; a partial copy will do. Captions are the grammar's, from the labels. Of the training folds the
first two train a CLAP from nothing on caption shards, by the trainer of the demo's models, and the others fit the gate: the
cosines of a model are of another kind on clips that it was trained on. The fold that is left out is then made into captions of
known truth, which are judged as any candidates are: all of it, and the clips alone whose class the CLAP was trained on, with
wrong captions made of these.

Two gates are measured: with all scores, and without agreement, which checks such captions against the very labels that they were
written from, and so cannot be wrong about them.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.assemble import stages_of
from pipelines.cli import main as earloom
from pipelines.core.graph import Node, build_graph
from pipelines.core.stage import Batch, Context, Stage, conserve
from pipelines.core.worker import read_table
from pipelines.core.workspace import Workspace
from pipelines.refine.gate import TRUE, Gate
from pipelines.refine.probes import KINDS
from pipelines.refine.rates import Rate, kind_weights, rate
from pipelines.refine.score import SCORER
from pipelines.refine.weigh import Weigh
from schemas import tables
from schemas.load import load_recipe
from schemas.recipe import Recipe
from trainers.clips.shards import Clips

RECIPE = Path(__file__).parents[1] / "configs" / "esc50.yaml"


class Finished:
    """A finished run, whose stages can be served again in memory, on other rows of one table.

    Args:
        folder: the run folder.
    """

    def __init__(self, folder: Path) -> None:
        self.recipe: Recipe = load_recipe(folder / "recipe.yaml")
        stages = stages_of(self.recipe)
        self.nodes: list[Node] = build_graph(stages, self.recipe.seed)
        root = self.recipe.data.root or ""
        self.context = Context(Workspace(str(folder)), root, self.recipe.seed, self.recipe.partitions)
        self.instead: dict[tuple[str, int], pa.Table] = {}

    def table(self, name: str, partition: int, only: Sequence[str] | None = None) -> pa.Table:
        """Return a table as the run wrote it, or what stands in its place; partition -1: all of it."""
        if (name, partition) in self.instead:
            return self.instead[name, partition]
        if partition < 0 and (name, 0) in self.instead:
            return pa.concat_tables([self.instead[name, p] for p in range(self.recipe.partitions)])
        writers = [n for n in self.nodes if n.stage.writes == name and (only is None or n.stage.name in only)]
        return pa.concat_tables(
            [read_table(self.context.workspace, n, partition, self.recipe.partitions) for n in writers]
        )

    def serve(self, stage: Stage) -> list[dict[str, Any]]:
        """Serve all partitions of a stage that does not wait, and let its rows join those that stand in its table's place."""
        every = []
        for partition in range(self.recipe.partitions):
            only = stage.reads_from()
            read = {
                name: self.table(name, -1 if name in stage.whole else partition, only.get(name)) for name in stage.reads
            }
            primary = read.pop(stage.reads[0])
            rows = []
            for piece in Batch(primary, read).slices(stage.batch_rows):
                result = stage.process(piece, self.context)
                conserve(stage, piece.rows.column(stage.key).to_pylist(), result)
                rows += result.rows
            made, key = tables.from_rows(stage.writes, rows, stage.schema()), (stage.writes, partition)
            self.instead[key] = pa.concat_tables([self.instead[key], made]) if key in self.instead else made
            every += rows
        return every


def probes_of(run: Finished, split: str) -> None:
    """Make and score captions of known truth for the clips of a split that no gate learns from; they stand in the run's place."""
    for partition in range(run.recipe.partitions):
        groups = run.table("groups", partition)
        turned = pc.if_else(pc.equal(groups.column("split"), split), "train", "not asked for")
        run.instead["groups", partition] = groups.set_column(
            groups.schema.get_field_index("split"), groups.schema.field("split"), turned
        )
    for node in run.nodes:
        if node.stage.writes in ("probes", "probe_scores"):
            run.serve(node.stage)


def held_out(run: Finished, split: str, gates: pa.Table, without: Sequence[str] = ()) -> dict[str, Rate | int]:
    """Return how a gate judges captions of known truth of a split that it was not fitted on.

    Args:
        run: the run whose clips are judged.
        split: the split.
        gates: rows of ``gates``, of this run or another.
        without: scorers whose scores the gate is not told.

    Returns:
        ``keep`` and ``false_accept``, each a rate with its interval; ``<kind>``, likewise; ``true`` and ``wrong``, counts.
    """
    probes_of(run, split)
    judge = Weigh(run.recipe.refine.min_agreement, run.recipe.refine.false_accepts)
    for partition in range(run.recipe.partitions):
        run.instead["candidates", partition] = run.table("probes", partition)
        run.instead["scores", partition] = _without(run.table("probe_scores", partition), without)
        run.instead["gates", -1] = gates
    accepted = {row["candidate_id"]: row["decision"] == "accepted" for row in run.serve(judge)}
    probes, groups = run.table("probes", -1).to_pylist(), run.table("groups", -1).to_pylist()
    names = {row["clip_id"]: row["group_id"] for row in groups}
    numbers = {name: number for number, name in enumerate(sorted(set(names.values())))}

    def told(kinds: Sequence[str], by_kind: bool) -> Rate:
        own = [probe for probe in probes if probe["kind"] in kinds]
        yes = np.array([accepted[probe["candidate_id"]] for probe in own])
        group = np.array([numbers[names[probe["clip_id"]]] for probe in own])
        kind = np.array([kinds.index(probe["kind"]) for probe in own])
        weights = kind_weights(kind) if by_kind else np.full(len(own), 1.0 / len(own))
        return rate(yes, weights, np.unique(group, return_inverse=True)[1])

    counts = {kind: sum(probe["kind"] == kind for probe in probes) for kind in (TRUE, *KINDS)}
    found: dict[str, Rate | int] = {"keep": told([TRUE], False), "false_accept": told(KINDS, True)}
    found |= {kind: told([kind], False) for kind in KINDS if counts[kind]}
    return found | {TRUE: counts[TRUE], "wrong": sum(counts.values()) - counts[TRUE]}


def fitted(run: Finished, wanted: float, without: Sequence[str] = ()) -> pa.Table:
    """Return the rows of ``gates`` that the run's own probes give without some scorers."""
    read = {name: run.table(name, -1) for name in Gate.reads}
    read["probe_scores"] = _without(read["probe_scores"], without)
    result = Gate(wanted).process(Batch(read.pop("strata"), read), run.context)
    return tables.from_rows("gates", result.rows)


def _without(scores: pa.Table, scorers: Sequence[str]) -> pa.Table:
    return scores.filter(pc.invert(pc.is_in(scores.column("scorer"), value_set=pa.array(scorers, pa.string()))))


def ran(root: str, splits: dict[str, str], out: Path, *overrides: str) -> Path:
    """Run the recipe with the folds in these splits; return the run folder."""
    said = "{" + ", ".join(f"{fold}: {split}" for fold, split in splits.items()) + "}"
    words = ["run", str(RECIPE), "--out", str(out), "--quiet", "--engine", "inline"]
    every = [f"data.root={root}", f"data.datasets.0.splits={said}", "mix.per_clip=0", "partitions=1", *overrides]
    # A copy that is not whole has rejects of kind `missing_audio`, which are no failure.
    if earloom([*words, *(part for override in every for part in ("--set", override))]) != 0:
        raise SystemExit("the run failed")
    return out


def only_classes(run: Finished, split: str, classes: set[str]) -> None:
    """Leave out of a split all clips with a class that is not among these."""
    for partition in range(run.recipe.partitions):
        own = run.table("classes", partition).to_pylist()
        others = {
            row["clip_id"] for row in own if row["origin"].startswith("label:") and row["class_id"] not in classes
        }
        groups = run.table("groups", partition)
        left = pc.is_in(groups.column("clip_id"), value_set=pa.array(sorted(others), pa.string()))
        turned = pc.if_else(left, "other classes", groups.column("split"))
        place = groups.schema.get_field_index("split")
        run.instead["groups", partition] = groups.set_column(place, groups.schema.field("split"), turned)


def told(gates: pa.Table, found: dict[str, Rate | int]) -> dict[str, Any]:
    """Return what the gate promised and what was measured, as plain values."""
    (everything,) = (row for row in gates.to_pylist() if row["stratum"] == "all")
    promised = {key: value for key, value in everything.items() if key not in ("model", "scorers", "parent", "kinds")}
    measured = {key: asdict(value) if isinstance(value, Rate) else value for key, value in found.items()}
    return {"promised": promised, "measured": measured}


def trained(shards: Path, steps: int, work: Path) -> Path:
    """Train a CLAP by the command on caption shards; return the folder that it is served from."""
    # The loop judges it at its end, on the clips that are left to the gate; nothing is chosen by that.
    data = {"folders": [str(shards)], "held_out_split": "test", "held_out_clips": 20, "sounds": 0}
    fit = {"steps": steps, "batch": 32, "rate": 1e-3, "weight_decay": 0.02, "average": 0.995, "judge_every": steps}
    told = {"task": "clap", "name": "esc50_clap", "data": data, "fit": fit | {"warm_up": {"steps": steps // 7}}}
    config = work / "clap.yaml"
    config.write_text(json.dumps(told))
    if earloom(["train", str(config), "--out", str(work / "training"), "--device", "cpu", "--quiet"]) != 0:
        raise SystemExit("the training failed")
    return work / "training" / "model"


def main() -> None:
    """Run it all and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", help="folder of ESC-50")
    parser.add_argument("--test-fold", type=int, default=4)
    parser.add_argument("--steps", type=int, default=300, help="of the CLAP's training (default: 300)")
    parser.add_argument("--rate", type=float, default=0.05, help="false accepts that the gate may make (default: 0.05)")
    options = parser.parse_args()
    rest = [fold for fold in range(1, 6) if fold != options.test_fold]
    report: dict[str, Any] = {"fold": options.test_fold, "steps": options.steps, "rate": options.rate}
    with tempfile.TemporaryDirectory() as folder:
        work, began = Path(folder), time.process_time()
        splits = {f"fold{fold}": "train" if fold in rest[:2] else "test" for fold in range(1, 6)}
        (shards,) = (ran(options.root, splits, work / "shards") / "shards").glob("captions-*")
        clap = trained(shards, options.steps, work)
        clips = Clips([shards], "train").told
        seen = {class_id for clip in clips for class_id in clip.labels or ()}
        splits = {f"fold{fold}": "train" if fold in rest[2:] else "clap" for fold in rest} | {
            f"fold{options.test_fold}": "test"
        }
        embedder = f"[{{use: clap_transformers, name: clap, settings: {{weights: {clap}}}}}]"
        out = ran(
            options.root, splits, work / "run", f"listen.embedders={embedder}", f"refine.false_accepts={options.rate}"
        )
        for name, without in (("all_scores", ()), ("without_agreement", (SCORER,))):
            for which in ("all_classes", "classes_of_clap"):
                run = Finished(out)
                gates = fitted(run, options.rate, without)
                if which == "classes_of_clap":
                    only_classes(run, "test", seen)
                report[f"{name}, {which}"] = told(gates, held_out(run, "test", gates, without))
        report |= {
            "clips_of_clap": len(clips),
            "classes_of_clap": len(seen),
            "cpu_s": round(time.process_time() - began),
        }
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    sys.exit(main())
