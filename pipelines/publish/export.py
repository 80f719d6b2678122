"""``earloom export``: a finished run in a publisher's form, with a manifest that accounts for every clip."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.core.workspace import Workspace, is_host_fault
from pipelines.publish.credit import write_credit
from pipelines.publish.form import Format, Options, Served, barred
from pipelines.publish.formats import format_of
from pipelines.publish.items import Item, items
from pipelines.publish.outbox import Outbox, new_folder
from pipelines.publish.sealed import SealedRun, open_sealed
from pipelines.publish.sinks import CsvFile
from schemas import __version__
from schemas.errors import RunStopped, UserError

MANIFEST = "manifest.json"
CLIPS = "clips.csv"
_CLIPS = (
    *("id", "clip_id", "recording_id", "dataset", "split", "source_path", "source_start_s", "duration_s", "licence"),
    *("candidate_ids", "file", "sha256"),
)


def export(workspace: Workspace, name: str, out: str, options: Options) -> dict[str, Any]:
    """Write a run to ``out`` in the format of that name; return the manifest.

    The same run, options and version of Earloom give the same bytes.

    Raises:
        UserError: no such format, it has no room for what is asked for, the run is not finished, or ``out`` cannot be used.
        RunStopped: the run was altered, or the machine failed.
    """
    form = format_of(name)
    if options.audio and not form.sounds:
        raise UserError(f"--audio: the format {name} holds no sound; wavcaps and huggingface do")
    if options.everything and not form.decisions:
        raise UserError(f"--all: the format {name} has no room for a decision; huggingface has")
    run = open_sealed(workspace)
    try:
        with new_folder(out) as box:
            return _write(name, form(run, options, box), run, options, box)
    except OSError as error:
        if not is_host_fault(error):
            raise
        raise RunStopped(f"--out {out}: {error.strerror or error}; mend it and run the same command again") from error


def _write(name: str, form: Format, run: SealedRun, options: Options, box: Outbox) -> dict[str, Any]:
    tally = _Tally(form.products)
    index = CsvFile(box, CLIPS, _CLIPS) if form.indexed else None
    recordings: list[pa.Array] = []
    for partition in range(run.partitions):
        exported = []
        for item in items(run, partition, form.sides, form.proposed):
            reason = barred(item, options)
            served = form.left_out(reason) if reason else form.serve(item)
            if tally.add(item, served):
                exported.append(item.clip["recording_id"])
                if index:
                    index.add(_index_row(item, served))
        recordings.append(pa.array(exported, pa.string()).unique())
    if missing := set(options.splits) - tally.splits:
        there = ", ".join(sorted(tally.splits)) or "none"
        raise UserError(f"--split {min(missing)}: the run has no clip of it; it has {there}")
    counts = tally.told()
    more = form.close(counts)
    credited = write_credit(run, pc.unique(pa.concat_arrays(recordings)), box)
    box.close()
    manifest = {
        "earloom": __version__,
        "format": name,
        "recipe": run.recipe.name,
        "seal_sha256": run.sha256,
        "options": {
            "all": options.everything,
            "audio": options.audio,
            "licence": options.licence,
            "splits": list(options.splits),
        },
        **counts,
        "recordings": credited,
        **more,
        "files": box.facts(),
    }
    with box.open(MANIFEST, listed=False) as file:
        file.write((json.dumps(manifest, indent=1, ensure_ascii=False) + "\n").encode())
    return manifest


class _Tally:
    """What became of the clips, counted."""

    def __init__(self, products: tuple[str, ...]) -> None:
        self.clips = 0
        self.splits: set[str] = set()
        self.exported: dict[str, int] = dict.fromkeys(products, 0)
        self.left: dict[str, Counter[str]] = {product: Counter() for product in products}
        self.facts: dict[str, Counter[str]] = defaultdict(Counter)

    def add(self, item: Item, served: Served) -> bool:
        """Count a clip; say whether it is in a product. RunStopped where a product says nothing of it."""
        if served.left.keys() != self.exported.keys():
            raise RunStopped(f"law of conservation broken: {item.clip_id} is told of by {sorted(served.left)} alone")
        self.clips += 1
        self.splits.add(item.caption["split"])
        self.facts["decisions"][item.caption["decision"]] += 1
        for product, reason in served.left.items():
            if reason:
                self.left[product][reason] += 1
            else:
                self.exported[product] += 1
        kept = not all(served.left.values())
        if kept:
            self.facts["splits"][item.caption["split"]] += 1
            self.facts["licences"][item.caption["licence"]] += 1
        return kept

    def told(self) -> dict[str, Any]:
        """Return the counts as the manifest has them: ``clips`` = exported + left out, in every product."""
        products = {
            product: {"exported": count, "left_out": _sorted(self.left[product])}
            for product, count in self.exported.items()
        }
        facts = {name: _sorted(self.facts[name]) for name in ("decisions", "splits", "licences")}
        return {"clips": self.clips, "products": products, **facts}


def _sorted(counter: Counter[str]) -> dict[str, int]:
    return dict(sorted(counter.items()))


def _index_row(item: Item, served: Served) -> dict[str, Any]:
    row = {"id": served.name, "candidate_ids": " ".join(served.candidate_ids), "file": served.sound}
    row |= {name: item.caption[name] for name in ("clip_id", "dataset", "split", "licence")}
    row |= {name: item.clip[name] for name in ("recording_id", "source_path", "source_start_s", "duration_s")}
    return row | ({"sha256": item.clip["sha256"]} if served.sound else {})
