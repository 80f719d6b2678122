"""Which of WavCaps' own rules the published captions of SoundBible break, by the checks of `configs/prompts/wavcaps_write.yaml`.

    python benchmarks/wavcaps_rules.py WAVCAPS [--show 5]

WAVCAPS is the folder that holds SoundBible/sb_final.json. Nothing is asked of a model: what is counted are the publisher's captions,
as they are and tidied as an answer would be, what the prompt would be given of their descriptions, and how often answers that
have moved by one in a packed request would be noticed.
"""

from __future__ import annotations

import argparse
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

from pipelines.describe.known import Known
from pipelines.describe.packing import own_words
from pipelines.describe.prompts import load_prompt
from pipelines.describe.rules import Limits, broken, tidy
from pipelines.unify.names import default_index

PACK, DRAWS = 10, 5
"""Clips in one request, and how often all clips are drawn into requests anew."""

PROMPT = "prompts/wavcaps_write.yaml"
KINDS = {
    "words": ("words, and", "word, and"),
    "sentences": ("sentences, and",),
    "numbers": ("the number",),
    "units": ("the unit",),
    "names": ("the name",),
    "banned words": ("the word",),
}
"""Beginnings of our reasons, by the published rule that they are of."""


def entries(folder: Path) -> list[dict[str, Any]]:
    """Return the published records of SoundBible."""
    found: list[dict[str, Any]] = json.loads((folder / "SoundBible/sb_final.json").read_text(encoding="utf-8"))["data"]
    return found


def reasons(caption: str) -> list[str]:
    """Return the rules that a caption breaks, in words, once it is tidied."""
    file = load_prompt(PROMPT, "benchmark").file
    return broken(tidy(caption), file.rules, Limits(file.styles["caption"]))


def kind_of(reason: str) -> str:
    """Return the published rule that a reason is of; ``other`` if it is of none."""
    return next((kind for kind, words in KINDS.items() if any(word in reason for word in words)), "other")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--show", type=int, default=0, help="captions to show per rule")
    given = parser.parse_args()
    records, prompt = entries(given.folder), load_prompt(PROMPT, "benchmark")
    found = {record["id"]: reasons(record["caption"]) for record in records}
    kinds = Counter(kind for why in found.values() for kind in {kind_of(each) for each in why})
    total = len(records)
    print(
        f"{total} captions; {sum(map(bool, found.values()))} break a rule ({share(sum(map(bool, found.values())), total)})"
    )
    for kind in (*KINDS, "other"):
        print(f"  {kind:14} {kinds[kind]:5} {share(kinds[kind], total)}")
        shown = [r for r in records if any(kind_of(each) == kind for each in found[r["id"]])][: given.show]
        for record in shown:
            print(f"      {record['caption']}   [{'; '.join(found[record['id']])}]")
    changed = sum(tidy(record["caption"]) != record["caption"] for record in records)
    print(f"{changed} are changed by tidying ({share(changed, total)})")
    known = [Known(description=record["description"]) for record in records]
    silent = sum(not prompt.says(each) for each in known)
    spoken = sum(each.speaks_to_models() for each in known)
    print(
        f"{silent} descriptions are empty ({share(silent, total)}); {spoken} seem to speak to a model and are asked about alone"
    )
    for each in [each for each in known if each.speaks_to_models()][: given.show]:
        print(f"      {each.description}")
    right, moved = noticed(records, move=False), noticed(records, move=True)
    print(
        f"of requests with right answers {right[0]:.1%} are left out as a whole, of the others' answers {right[1]:.1%}"
    )
    print(
        f"of requests with answers that move up by one from a random place on {moved[0]:.1%}, of the others' {moved[1]:.1%}"
    )


def noticed(records: list[dict[str, Any]], move: bool) -> tuple[float, float]:
    """Return the share of packs that are left out as a whole, and of the answers in the others the share that is.

    With ``move`` the answers of a pack move up by one from a random place on, and the last is one of theirs again.
    """
    rng, index = random.Random(0), default_index()
    whole = single = packs = 0
    for _ in range(DRAWS):
        drawn = rng.sample(records, len(records))
        for start in range(0, len(drawn) - PACK + 1, PACK):
            pack = drawn[start : start + PACK]
            captions = [record["caption"] for record in pack]
            if move:
                at = rng.randrange(PACK - 1)
                captions = [*captions[:at], *captions[at + 1 :], captions[at]]
            kept = own_words(dict(enumerate(captions, 1)), [record["description"] for record in pack], index)
            packs += 1
            whole += not kept
            single += PACK - len(kept) if kept else 0
    return whole / packs, single / (PACK * max(1, packs - whole))


def share(count: int, total: int) -> str:
    """Return a share in percent."""
    return f"{100 * count / total:.1f}%"


if __name__ == "__main__":
    main()
