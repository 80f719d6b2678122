"""``earloom replay``: a list and the user's audio in, a folder of its mixtures out, each line made or refused with its reason."""

from __future__ import annotations

import csv
import io
import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.ingest.listing import sha256
from pipelines.publish.outbox import Outbox, new_folder
from pipelines.replay.audio import Audio
from pipelines.replay.collisions import Collision, collisions
from pipelines.replay.lists import Listing, Pair, read_list
from pipelines.replay.mixing import snr_db
from pipelines.replay.render import Rendered, render, rule_of
from pipelines.replay.wav import float_wav
from pipelines.shards.writing import host_faults
from schemas.errors import Reject

COLUMNS = (
    "number",
    "query",
    "other_query",
    "target_path",
    "other_path",
    "by",
    "snr_db",
    "achieved_snr_db",
    "gain",
    "turned_down_db",
    "peak",
    "samples",
    "shared",
    "target_class",
    "other_class",
    "same_recording",
)


def replay(path: Path, audio: str, out: str) -> dict[str, Any]:
    """Render a published list into a new folder; return its manifest.

    ``out`` then holds ``segment-<number>.wav`` (the target) and ``mixture-<number>.wav`` of each line that could be made, the names
    that AudioSep's evaluators read; of VGGSound's list ``second-<number>.wav`` too, the other stem, for which the list has words as well;
    ``list.csv``, a row per mixture; ``rejects.csv``, a row per line that could not be made; ``manifest.json``. One channel, 32-bit
    float, at the list's rate: what the published evaluator holds in memory, not rounded. The same audio gives the same bytes.

    Args:
        path: the list.
        audio: folder below which its sounds lie.
        out: a new or empty folder.

    Raises:
        UserError: the list is none of the known ones, or a folder will not do.
        RunStopped: the machine failed, e.g. the disk is full; then nothing is left of ``out``.
    """
    listing = read_list(path)
    sounds, found = Audio(audio, listing.form), collisions(listing)
    with host_faults(f"--out {out}"), new_folder(out) as box:
        rows, rejects = list[list[Any]](), [[number, "bad_row", words] for number, words in listing.bad]
        for pair, shared in zip(listing.pairs, found.pairs, strict=True):
            try:
                made = render(sounds, pair)
            except Reject as reject:
                rejects.append([pair.number, reject.error, reject.message])
                continue
            _write(box, listing, pair, made)
            rows.append(_row(listing, pair, shared, made))
        _table(box, "list.csv", COLUMNS, rows)
        _table(box, "rejects.csv", ("number", "error", "message"), sorted(rejects))
        manifest = {
            "list": listing.form.name,
            "sha256": sha256(path),
            "rule": rule_of(listing.form),
            "sample_rate": listing.form.rate,
            "lines": len(listing.pairs) + len(listing.bad),
            "rendered": len(rows),
            "rendered_by": dict(sorted(Counter(row[COLUMNS.index("by")] for row in rows).items())),
            "rejects": dict(sorted(Counter(error for _, error, _ in rejects).items())),
            "collisions": found.facts(),
            "files": box.facts(),
        }
        with box.open("manifest.json", listed=False) as file:
            file.write((json.dumps(manifest, indent=1, ensure_ascii=False) + "\n").encode())
    return manifest


def _write(box: Outbox, listing: Listing, pair: Pair, made: Rendered) -> None:
    parts = {"segment": made.mixed.target, "mixture": made.mixed.mixture}
    if listing.form.rule == "stems":
        parts["second"] = made.mixed.other
    for name, samples in parts.items():
        with box.open(f"{name}-{pair.number}.wav") as file:
            file.write(float_wav(samples, listing.form.rate))


def _row(listing: Listing, pair: Pair, shared: Collision, made: Rendered) -> list[Any]:
    target, other, mixture, gain, declip = made.mixed
    achieved = snr_db(target, other)
    return [
        pair.number,
        pair.query,
        pair.told if listing.form.rule == "stems" else "",
        made.target_path,
        made.other_path,
        made.by,
        "" if pair.snr_db is None else pair.snr_db,
        "" if achieved is None else f"{achieved:.6f}",
        f"{gain:.9g}",
        f"{0.0 - 20.0 * math.log10(declip):.6f}",
        f"{float(np.max(np.abs(mixture))):.9g}",
        len(mixture),
        shared.shared,
        shared.target_class,
        shared.other_class,
        int(shared.same_recording),
    ]


def _table(box: Outbox, name: str, columns: tuple[str, ...], rows: list[list[Any]]) -> None:
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(columns)
    lines.writerows(rows)
    with box.open(name) as file:
        file.write(text.getvalue().encode("utf-8", "surrogateescape"))
