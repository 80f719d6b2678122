"""The words of mixtures: what they cost in seconds of CPU, and how the query check judges AudioCaps' published captions.

    python benchmarks/words.py [--data DIR] [--clips 230000] [--mixtures 200000]

One process. Generated clips have one to three classes of the ontology, drawn uniformly, and every second a caption of 12 words that
names them. ``--data`` is a folder with AudioSep's list of AudioCaps under ``lass/audiosep_eval``: its captions are checked against
the labels of their own clip, and against those of the clip that the list mixes it with.
"""

from __future__ import annotations

import argparse
import csv
import re
import time
from collections import Counter
from pathlib import Path

import numpy as np

from pipelines.mix.conflict import relation, specific
from pipelines.mix.naming import phrase, word_of
from pipelines.mix.patterns import load_patterns
from pipelines.mix.query import check_query
from pipelines.mix.words import Spoken, Wordings, asked, spoken_of
from schemas import tables
from schemas.mixing import Conflict, Words
from schemas.ontology import default_ontology

ROUNDS = 3


def generated(count: int) -> list[Spoken]:
    """Return clips and what they may be called; print how long that took."""
    ontology, draw = default_ontology(), np.random.default_rng(0)
    known = [node.class_id for node in ontology.classes if not node.abstract]
    empty = dict.fromkeys(tables.schema("sources").names)
    texts = dict.fromkeys(("recording_id", "group_id", "dataset", "split", "sha256", "licence", "tar", "state"), "x")
    rows = []
    for number in range(count):
        ids = sorted({known[int(k)] for k in draw.integers(len(known), size=draw.integers(1, 4))})
        names = [ontology[class_id].name for class_id in specific(ontology, ids)]
        said = " and ".join(word_of(name) for name in names)
        words = {
            "class_ids": ids,
            "class_names": names,
            "label": phrase(names),
            "spoken": [f"the {word_of(n)}" for n in names],
        }
        rows.append(
            empty
            | texts
            | words
            | {"clip_id": str(number), "said_class_ids": [], "heard_class_ids": [], "offset": 0, "size": 1}
            | {"duration_s": 10.0, "sample_rate": 32000}
            | {"caption": f"From far away {said} can be heard, on and on, while nobody cares." if number % 2 else None}
        )
    table, against = tables.from_rows("sources", rows), relation(Conflict())
    began = time.process_time()
    found = spoken_of(table, against)
    print(f"spoken_of: {time.process_time() - began:.1f} s for {count:,} clips, every second with a caption")
    return found


def cost(clips: list[Spoken], count: int) -> None:
    """Print microseconds per mixture, best of three rounds."""
    file = load_patterns("prompts/instructions.yaml")
    patterns = Wordings(tuple(file.extract), tuple(file.remove))
    draw = np.random.default_rng(1)
    draws = draw.random((count, 8)).tolist()
    for sources in (2, 4):
        who = draw.integers(len(clips), size=(count, sources)).tolist()
        for query in ("caption", "label", "keyword"):
            words = Words.model_validate({"query": query, "prompts": [0.25, 0.25, 0.5]})
            best = float("inf")
            for _ in range(ROUNDS):
                began = time.process_time()
                for numbers, picked in zip(draws, who, strict=True):
                    first, *others = [clips[k] for k in picked]
                    asked(numbers, words, patterns, [first], others, None, False)
                best = min(best, time.process_time() - began)
            print(f"asked, {sources} sources, {query}: {best / count * 1e6:.1f} microseconds")


def audiocaps(data: Path) -> None:
    """Print how the query check judges the captions of AudioSep's AudioCaps list."""
    folder = data / "lass/audiosep_eval"
    with (folder / "class_labels_indices.csv").open(newline="") as lines:
        mids = {row["display_name"]: row["mid"] for row in csv.DictReader(lines)}
    name = re.compile("|".join(re.escape(each) for each in sorted(mids, key=len, reverse=True)))
    with (folder / "audiocaps_eval.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    labels = {row["src_wav"]: [mids[each] for each in name.findall(row["labels"])] for row in rows}
    for what, others in (("its own clip", {}), ("the published pair", labels)):
        told = Counter(
            check_query(row["caption"], labels[row["src_wav"]], others.get(row["noise_wav"], [])) for row in rows
        )
        shares = ", ".join(f"{verdict} {count / len(rows):.1%}" for verdict, count in sorted(told.items()))
        print(f"{len(rows):,} captions against {what}: {shares}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--clips", type=int, default=230_000)
    parser.add_argument("--mixtures", type=int, default=200_000)
    options = parser.parse_args()
    cost(generated(options.clips), options.mixtures)
    if options.data:
        audiocaps(options.data)


if __name__ == "__main__":
    main()
