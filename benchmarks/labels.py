"""How well names and captions find their classes: FSD50K's and VGGSound's labels blind, AudioCaps' captions against AudioSet's labels.

    python benchmarks/labels.py DATA [--words]

DATA is the folder that holds fsd50k/, vggsound/, audioset/ and lass/audiosep_eval/. With --words it also shows which words of
captions are taken for which class by their embedding. A class agrees with another if they conflict in the ontology's sense: they
are equal, or one contains the other. The scripted model tells nothing of any real one: it knows the labels, errs as often as it is
told to, and shows that what a model says is read, mapped and counted without loss.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.unify.answers import read_told
from pipelines.unify.asking import packs
from pipelines.unify.names import default_index
from pipelines.unify.near import nearest, word_near
from schemas.ontology import default_ontology

LEAST = (0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6)
"""Cosines that are tried."""

MISSES, ADDS = 0.1, 0.1
"""Of the scripted model: share of labels that it leaves out, and of captions for which it makes one up."""

Tags = Sequence[Sequence[str]]


@dataclass(frozen=True)
class Caption:
    """A caption and the classes of its clip's labels."""

    text: str
    clip: str
    class_ids: tuple[str, ...]


def agree(class_id: str, others: Sequence[str]) -> bool:
    """Say whether a class conflicts with one of the others."""
    ontology = default_ontology()
    return bool(ontology.related_mask(class_id) & ontology.bits(others))


def captions(data: Path) -> list[Caption]:
    """Return the captions of AudioSep's AudioCaps list; its labels are joined by spaces, and names hold spaces themselves."""
    with (data / "audioset/class_labels_indices.csv").open(newline="") as lines:
        ids = {row["display_name"]: row["mid"] for row in csv.DictReader(lines)}
    label = re.compile("|".join(re.escape(name) for name in sorted(ids, key=len, reverse=True)))
    with (data / "lass/audiosep_eval/audiocaps_eval.csv").open(newline="") as lines:
        return [
            Caption(row["caption"], row["src_wav"], tuple(ids[name] for name in label.findall(row["labels"])))
            for row in csv.DictReader(lines)
        ]


def report(name: str, found: Tags, known: Sequence[Caption]) -> None:
    """Print how many tags agree with a label, and how many labels with a tag."""
    pairs = list(zip(found, known, strict=True))
    tags = sum(len(each) for each in found)
    right = sum(agree(class_id, row.class_ids) for each, row in pairs for class_id in each)
    labels = sum(len(row.class_ids) for row in known)
    recalled = sum(agree(class_id, each) for each, row in pairs for class_id in row.class_ids)
    print(f"  {name:28} {tags:7,} tags  precision {right / tags:6.1%}  recall {recalled / labels:6.1%}")


def scripted(known: Sequence[Caption]) -> Tags:
    """Return what is read of the answers of a model that knows the labels and errs by the script."""
    rng, ontology = random.Random(0), default_ontology()
    usable = [node.class_id for node in ontology.classes if not (node.abstract or node.blacklist)]
    said: dict[str, list[str]] = {}
    for row in known:
        kept = [class_id for class_id in row.class_ids if rng.random() >= MISSES]
        said[row.text] = kept + ([rng.choice(usable)] if rng.random() < ADDS else [])
    read: dict[str, tuple[str, ...]] = {}
    for pack in packs(list(said)):
        names = ["; ".join(ontology[class_id].name for class_id in said[text]) or "no sound" for text in pack]
        told = read_told(json.dumps({f"text_{n}": name for n, name in enumerate(names, 1)}), len(pack))
        assert told is not None
        read |= {text: each.class_ids or () for text, each in zip(pack, told, strict=True)}
    return [read[row.text] for row in known]


def blind(names: Sequence[tuple[str, tuple[str, ...]]], what: str) -> None:
    """Print how many names find their class without a table of their own, by rule and by the nearest name."""
    index = default_index()
    by_rule = {name: match.class_id for name, _ in names if (match := index.lookup(name))}
    agreed = sum(agree(by_rule[name], ids) for name, ids in names if name in by_rule)
    exact = sum(by_rule[name] in ids for name, ids in names if name in by_rule)
    print(f"{what}: {len(names)} names; by rule {len(by_rule)}, of them the very class {exact}, related {agreed}")
    left = [(name, ids, nearest(name)[0]) for name, ids in names if name not in by_rule]
    for least in LEAST if left else ():
        taken = [(ids, near.class_id) for _, ids, near in left if near.score >= least]
        exact = sum(class_id in ids for ids, class_id in taken)
        agreed = sum(agree(class_id, ids) for ids, class_id in taken)
        print(
            f"  by embedding from {least:.2f}: {len(taken):4} of {len(left)}, the very class {exact}, related {agreed}"
        )


def embedded(known: Sequence[Caption], rules: Tags, show: bool) -> None:
    """Print what words that mean nearly the same as a phrase add to the rules, from each cosine on."""
    index = default_index()
    for least in LEAST:
        near = word_near(least)
        mentions = [index.tags_in_text(row.text, near) for row in known]
        report(f"rules, embedding from {least:.2f}", [[m.class_id for m in each] for each in mentions], known)
        words = [(m, row) for each, row in zip(mentions, known, strict=True) for m in each if m.nearly]
        right = sum(agree(mention.class_id, row.class_ids) for mention, row in words)
        print(f"    of {len(words)} such words {right / max(1, len(words)):.1%} agree with a label")
        if show and least == 0.8:
            counts = Counter((m.phrase.lower(), index.ontology[m.class_id].name) for m, _ in words)
            print("    " + ", ".join(f"{word} = {name} ({n})" for (word, name), n in counts.most_common(40)))


def seconds(work: Callable[[], object]) -> float:
    """Return the least of three."""
    spent = []
    for _ in range(3):
        began = time.perf_counter()
        work()
        spent.append(time.perf_counter() - began)
    return min(spent)


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--words", action="store_true")
    options = parser.parse_args()
    index = default_index()
    with (options.data / "fsd50k/FSD50K.ground_truth/vocabulary.csv").open(newline="") as lines:
        blind([(name, (mid,)) for _, name, mid in csv.reader(lines)], "FSD50K, MIDs hidden")
    with (options.data / "vggsound/stat.csv").open(newline="") as lines:
        names = [row[0] for row in csv.reader(lines)]
    matches = {name: index.lookup(name, "vggsound") for name in names}
    blind([(name, (m.class_id, *m.also)) for name, m in matches.items() if m], "VGGSound, its table hidden")

    known = captions(options.data)
    rules = [[mention.class_id for mention in index.tags_in_text(row.text)] for row in known]
    print(f"AudioCaps: {len(known):,} captions of {len({row.clip for row in known})} clips, against AudioSet's labels")
    report("rules", rules, known)
    by_clip: dict[str, set[int]] = {}
    for number, row in enumerate(known):
        by_clip.setdefault(row.clip, set()).add(number)
    others = [
        [*known[n].class_ids, *(c for k in by_clip[known[n].clip] - {n} for c in rules[k])] for n in range(len(known))
    ]
    borne = sum(agree(class_id, others[n]) for n, each in enumerate(rules) for class_id in each)
    print(f"    {borne / sum(map(len, rules)):.1%} of the tags agree with a label or with another caption of the clip")
    embedded(known, rules, options.words)
    report(f"scripted model ({MISSES:.0%}, {ADDS:.0%})", scripted(known), known)
    spent = seconds(lambda: [index.tags_in_text(row.text) for row in known])
    print(f"rules: {len(known) / spent:,.0f} captions a second")
    spent = seconds(lambda: [index.lookup(name, "vggsound") for name in names])
    print(f"look-ups of labels: {len(names) / spent:,.0f} a second")


if __name__ == "__main__":
    main()
