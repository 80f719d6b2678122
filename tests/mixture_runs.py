"""Finished runs of given mixtures, whose sound is made here by a few lines of numpy, for tests of what is measured of them."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import yaml
from publish_runs import RATE, Given, Row, filled, flac

from pipelines.catalog.views import views_sql
from pipelines.core.drive import drive
from pipelines.core.graph import build_graph
from pipelines.core.progress import Progress
from pipelines.core.stage import Batch, Blob, Context, Result
from pipelines.core.work import Work
from pipelines.core.workspace import Workspace
from pipelines.engines.inline import InlineEngine
from pipelines.ingest.store import encode_flac
from pipelines.seal import write_seal
from schemas import tables
from schemas.ids import canonical_json
from schemas.load import parse_recipe

DOG, BARK, RAIN, SPEECH = "/m/0bt9lr", "/m/05tny_", "/m/06mb1", "/m/09x0r"
LENGTH = RATE // 4


@dataclass(frozen=True)
class Mixture:
    """A mixture of clips at gains; ``shard`` is what its sample holds: ``target``, ``stems``, ``residual`` or ``recipe``."""

    name: str
    targets: tuple[str, ...]
    interferers: tuple[str, ...]
    gains: tuple[float, ...]
    policy: str = "disjoint"
    split: str = "train"
    set: str = "mix"
    shard: str = "target"
    off_by: int = 0
    rir: str | None = None
    in_vain: tuple[str, ...] = ()
    asked: float | None = 0.0


@dataclass(frozen=True)
class Planned(Given):
    """A stage that writes given rows whose key is the mixture's name."""

    @property
    def places(self) -> str:
        return "mixture_id"


@dataclass(frozen=True)
class Mixed(Planned):
    """A stage that writes given mixtures with their samples."""

    members: tuple[tuple[str, dict[str, bytes]], ...] = field(default=(), hash=False)

    def params(self) -> dict[str, Any]:
        return {"called": self.called, "rows": self.rows}

    @property
    def room(self) -> str:
        return "shards"

    def process(self, batch: Batch, context: Context) -> Result:
        rows = [filled(self.table, row) for row in self.rows]
        return Result(rows=rows, blobs=[Blob("train", key, members) for key, members in self.members])


def source(clip_id: str, *class_ids: str, **more: Any) -> dict[str, Row]:
    """Return the rows of a clip that may be mixed: ``clips``, ``groups``, ``sources`` and ``classes``."""
    own = {"clip_id": clip_id, "record_id": clip_id, "recording_id": f"fs:{clip_id}", "group_id": f"fs:{clip_id}"}
    own |= {"dataset": "mine", "split": "train", "licence": "by", "state": "labelled", "duration_s": 0.25}
    own |= {
        "sample_rate": RATE,
        "class_ids": list(class_ids),
        "recordings": 1,
        "attribution": f"maker of {clip_id}",
    } | more
    return {
        table: {key: value for key, value in own.items() if key in tables.schema(table).names}
        for table in ("clips", "groups", "sources")
    } | {
        "classes": [
            {"clip_id": clip_id, "class_id": class_id, "class_name": "a", "origin": "label:mid", "state": own["state"]}
            for class_id in class_ids
        ]
    }


def mixture_run(folder: Path, clips: Sequence[dict[str, Any]], *mixtures: Mixture, **recipe: Any) -> Workspace:
    """Return a finished run of these clips and mixtures in ``folder / run``."""
    made = [_made(each) for each in mixtures]
    given: list[Given] = [
        Given("ingest", "clips", tuple(clip["clips"] for clip in clips)),
        Given("groups", "groups", tuple(clip["groups"] for clip in clips)),
        Given("unify", "classes", tuple(row for clip in clips for row in clip["classes"])),
        Given("sources", "sources", tuple(clip["sources"] for clip in clips)),
        Planned("plan", "plan", tuple(plan for plan, _, _ in made)),
        Mixed(
            "mixtures",
            "mixtures",
            tuple(row for _, row, _ in made),
            members=tuple((r["mixture_id"], m) for _, r, m in made),
        ),
    ]
    work = Work(build_graph(given, 1), Context(Workspace(str(folder / "run")), str(folder), 1, 1))
    work.sweep()
    drive(work, InlineEngine(work.context), Progress(quiet=True))
    base = {"name": "made", "partitions": 1, "data": {"datasets": [{"adapter": "folder", "name": "mine"}]}}
    workspace = work.context.workspace
    frozen = {"name": "made", "partitions": 1, "tables": tables.VERSION}
    workspace.write("run.json", (canonical_json(frozen) + "\n").encode())
    workspace.write("recipe.yaml", yaml.safe_dump(parse_recipe(base | recipe, "test").model_dump(mode="json")).encode())
    workspace.write("views.sql", views_sql(work).encode())
    write_seal(work)
    return workspace


def _made(each: Mixture) -> tuple[Row, Row, dict[str, bytes]]:
    """Return the rows of ``plan`` and ``mixtures`` and the members of the sample."""
    used = (*each.targets, *each.interferers)
    roles = ["target"] * len(each.targets) + ["interferer"] * len(each.interferers)
    stems = [
        np.rint(_heard(clip_id) * np.float32(gain)).astype(np.int64)
        for clip_id, gain in zip(used, each.gains, strict=True)
    ]
    whole, target = sum(stems), sum(stems[: len(each.targets)], np.zeros(LENGTH, np.int64))
    whole[0] += each.off_by
    sources = [
        {"clip_id": clip_id, "role": role, "start": 0, "at": 0, "length": LENGTH, "level_db": None, "rir": each.rir}
        for clip_id, role in zip(used, roles, strict=True)
    ]
    own = {
        "mixture_id": each.name,
        "set": each.set,
        "split": each.split,
        "policy": each.policy,
        "query": "a",
        "sample_rate": RATE,
    }
    own |= {
        "target_clip_id": used[0],
        "target_clip_ids": list(each.targets),
        "interferer_clip_ids": list(each.interferers),
    }
    own |= {
        "snr_db": each.asked,
        "sources": sources,
        "length": LENGTH,
        "gains": list(each.gains),
        "peak": 0.5,
        "overlap": 1.0,
    }
    own |= {
        "achieved_snr_db": None if each.asked is None or not each.targets else each.asked + 0.001,
        "achieved_db": [0.0] * len(used),
        "target_class_ids": list(each.in_vain),
    }
    plan, row = ({key: own[key] for key in own if key in tables.schema(table).names} for table in ("plan", "mixtures"))
    return plan, row, _sample(each, whole, target, stems, sources)


def _sample(
    each: Mixture, whole: Any, target: Any, stems: list[Any], sources: list[Mapping[str, Any]]
) -> dict[str, bytes]:
    if each.shard == "recipe":
        gained = [{**source, "gain": gain} for source, gain in zip(sources, each.gains, strict=True)]
        facts = canonical_json({"length": LENGTH, "sample_rate": RATE, "sources": gained}).encode()
        return {f"source{number}.flac": flac(source["clip_id"]) for number, source in enumerate(sources)} | {
            "json": facts
        }
    sounds = {"mixture": whole, "target": target}
    sounds |= {"residual": sum(stems[len(each.targets) :])} if each.shard == "residual" else {}
    sounds |= {f"stem{number}": stem for number, stem in enumerate(stems)} if each.shard == "stems" else {}
    return {f"{name}.flac": encode_flac(samples.astype(np.int16), RATE) for name, samples in sounds.items()} | {
        "json": b"{}"
    }


def _heard(clip_id: str) -> np.ndarray:
    samples: np.ndarray = soundfile.read(io.BytesIO(flac(clip_id)), dtype="int16")[0]
    return samples
