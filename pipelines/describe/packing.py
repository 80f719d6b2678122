"""Several clips in one request: who goes with whom, and which lines of the answer can be trusted."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from pipelines.listen.answers import plain
from pipelines.unify.names import NameIndex

_LINE = re.compile(
    r"^\W{0,4}?(?:clip |caption |no\.? ?)?(\d{1,4})(?:\*\*)?\s?[.):\]-](?!\d)(?:\*\*)?\s*(.*)$", re.IGNORECASE
)
_MERGED = re.compile(r"^\W{0,4}?(?:clips? |captions? )?(\d{1,4})\s?(?:-|–|,|&|and|to)\s?(\d{1,4})\b", re.IGNORECASE)
_SECOND = re.compile(r"(?<=[.!?])\s+\(?(\d{1,4})[.):\]]\s+(?=[^\W\d_])")
"""A further index within a line: two answers that were written on one."""


def numbered(texts: Sequence[str]) -> str:
    """Return texts as the lines of an answer, each with its index, from 1."""
    return "\n".join(f"{number}. {text}" for number, text in enumerate(texts, 1))


def read_numbered(answer: str, count: int, *, cut: bool = False) -> dict[int, str]:
    """Return the answers by index, from 1, leaving out all that may be another clip's.

    An index that stands twice is left out, as is one whose line names several, holds a further index, or goes on in a line
    without one. Nothing at all is left where the indices do not rise, where one lies outside ``1 .. count``, or where the last
    ones are missing although the answer was not cut: two clips may then have been told as one, and all that follows be shifted.

    Args:
        answer: the model's words.
        count: clips that were asked about.
        cut: the answer ends where its tokens did: its last line is left out.
    """
    found: list[tuple[int, str]] = []
    faulty: set[int] = set()
    for line in filter(None, map(str.strip, plain(answer).splitlines())):
        if merged := _MERGED.match(line):
            faulty |= {int(merged[1]), int(merged[2])}
            found += [(int(merged[1]), ""), (int(merged[2]), "")]
        elif one := _LINE.match(line):
            found.append((int(one[1]), one[2]))
            if _SECOND.search(one[2]):
                faulty.add(int(one[1]))
        elif found:
            faulty.add(found[-1][0])
    numbers = [number for number, _ in found]
    in_range = all(1 <= number <= count for number in numbers)
    if not numbers or not in_range or numbers != sorted(numbers) or (numbers[-1] != count and not cut):
        return {}
    faulty |= {number for number in numbers if numbers.count(number) > 1} | ({numbers[-1]} if cut else set())
    return {number: text for number, text in found if number not in faulty and text}


def own_words(answers: Mapping[int, str], told: Sequence[str], index: NameIndex) -> dict[int, str]:
    """Return the answers without those that seem to be of another clip of the same request.

    An answer does where it names a sound that nothing told of its clip is related to in the ontology, and something told of
    another clip is. One such answer is left out; where there are two or more, all are: they may have moved up or down.

    Measured by ``benchmarks/wavcaps_rules.py`` on SoundBible's descriptions and published captions, ten to a request: where the
    answers move up by one from a random place on, 90% of the requests are left out as a whole; of right ones 0.2% are, and of
    the others' answers 1.1% singly.

    Args:
        answers: by index, from 1.
        told: what the request tells of each clip, in order.
        index: English names of sounds; in other languages nothing is found, and nothing left out.
    """
    ontology = index.ontology
    known = [ontology.bits({mention.class_id for mention in index.tags_in_text(text)}) for text in told]
    crossed = set()
    for number, answer in answers.items():
        named = {mention.class_id for mention in index.tags_in_text(answer)}
        near = [any(ontology.related_mask(class_id) & bits for class_id in named) for bits in known]
        if any(near) and not near[number - 1]:
            crossed.add(number)
    return {} if len(crossed) > 1 else {number: text for number, text in answers.items() if number not in crossed}


def packs(keys: Sequence[str], size: int) -> list[tuple[str, ...]]:
    """Return keys in packs of a size, in order; each belongs to one."""
    return [tuple(keys[start : start + size]) for start in range(0, len(keys), size)]
