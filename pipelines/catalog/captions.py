"""Captions that say the same: equal words, and word sets that are nearly equal (an exact join on their Jaccard index)."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import combinations

import apache_beam as beam

from pipelines.catalog.members import Row

NEAR = (4, 5)
"""Numerator and denominator of the least Jaccard index of two captions that are near."""
Place = tuple[str, str, str]
"""The member that has a caption, its set ``<dataset>/<published>``, and its split."""
Said = tuple[str, int, list[str], list[str]]
"""A caption's words joined by spaces, how many members have it, their sets and their splits."""
Coded = tuple[Said, tuple[str, ...]]
"""A caption, and its distinct words, the rarest first."""
Key = tuple[str, ...]

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")


def words(text: str) -> list[str]:
    """Return the words of a caption in lower case: runs of letters and digits, apostrophes inside them."""
    return _WORD.findall(unicodedata.normalize("NFC", text).lower().replace("’", "'"))


def places(row: Row) -> list[tuple[str, Place]]:
    """Return each caption of a member as its words joined by spaces, with its place."""
    place = (row["member_id"], f"{row['dataset']}/{row['published']}", row["split"])
    return [(text, place) for text in {" ".join(words(caption)) for caption in row["captions"]}]


def duplicate_rows(text: str, found: Iterable[Place]) -> list[Row]:
    """Return the row of ``duplicates`` of a caption from its places; none where one member alone has it."""
    distinct = set(found)
    members = sorted({member for member, _, _ in distinct})
    if len(members) < 2:
        return []
    _, count, sets, splits = said(text, distinct)
    return [{"text": text, "members": members, "sets": sets, "splits": splits, "count": count}]


def said(text: str, found: Iterable[Place]) -> Said:
    """Return a caption with what is told of its places."""
    distinct = set(found)
    count = len({member for member, _, _ in distinct})
    return text, count, sorted({each for _, each, _ in distinct}), sorted({split for _, _, split in distinct})


def coded(caption: Said, counts: dict[str, int]) -> Coded:
    """Return a caption with its distinct words in one order for all captions, the rarest first.

    Args:
        caption: the caption.
        counts: of each word, how many captions have it.
    """
    return caption, tuple(sorted(set(caption[0].split()), key=lambda word: (counts[word], word)))


def least_common(size: int) -> int:
    """Return the fewest words that a caption of ``size`` distinct words shares with any that is near to it."""
    return -(-size * NEAR[0] // NEAR[1])


def keys(ranked: tuple[str, ...]) -> Iterator[Key]:
    """Yield the pairs of words under which a caption is looked for: two that are near have one of them in common.

    Two sets whose Jaccard index is at least t share at least ceil(t n) words, n being the size of either. With words
    in one order, let the head of a set be its first n - ceil(t n) + 2. Of the two heads' last words, take the one
    that comes first: what the sets share up to it lies in both heads, and what they share beyond it lies in the tail
    of the one whose head it ends, which has ceil(t n) - 2 words. So at least two shared words lie in both heads (the
    prefix filter of Chaudhuri et al., ICDE 2006, for two words instead of one). A set of one word is near to its equal
    alone; its key is that word.
    """
    head = ranked[: len(ranked) - least_common(len(ranked)) + 2]
    return combinations(head, min(2, len(head)))


def near_rows(key: Key, found: Iterable[Coded]) -> Iterator[Row]:
    """Yield the rows of ``near_captions`` of a group of captions that share a key.

    A pair of captions that meets under several keys is told under the first alone: the two rarest words they share.
    """
    by_size: dict[int, list[tuple[Said, frozenset[str], tuple[str, ...]]]] = {}
    for caption, ranked in found:
        by_size.setdefault(len(ranked), []).append((caption, frozenset(ranked), ranked))
    for size, longer in by_size.items():
        for number, (caption, own, ranked) in enumerate(longer):
            for other_size in range(least_common(size), size + 1):
                others = longer[:number] if other_size == size else by_size.get(other_size, ())
                # In the words of integers: common / (size + other_size - common) >= t.
                wanted = -(-(size + other_size) * NEAR[0] // (NEAR[0] + NEAR[1]))
                for other, words_of_other, _ in others:
                    common = len(own & words_of_other)
                    if common >= wanted and tuple(_first_two(ranked, words_of_other)) == key:
                        yield _near_row(caption, other, common / (size + other_size - common))


def _first_two(ranked: tuple[str, ...], other: frozenset[str]) -> list[str]:
    shared: list[str] = []
    for word in ranked:
        if word in other:
            shared.append(word)
            if len(shared) == 2:
                break
    return shared


def _near_row(one: Said, other: Said, jaccard: float) -> Row:
    (text_a, count_a, sets_a, splits_a), (text_b, count_b, sets_b, splits_b) = sorted((one, other))
    return {
        "text_a": text_a,
        "text_b": text_b,
        "jaccard": jaccard,
        "count_a": count_a,
        "count_b": count_b,
        "sets_a": sets_a,
        "sets_b": sets_b,
        "splits_a": splits_a,
        "splits_b": splits_b,
    }


class CountWords(beam.CombineFn):
    """Counts, of each word, how many captions have it."""

    def create_accumulator(self) -> Counter[str]:
        """Return no counts."""
        return Counter()

    def add_input(self, counts: Counter[str], caption: Said) -> Counter[str]:
        """Take one caption in."""
        counts.update(set(caption[0].split()))
        return counts

    def merge_accumulators(self, parts: Iterable[Counter[str]]) -> Counter[str]:
        """Return the sum of several."""
        total: Counter[str] = Counter()
        for part in parts:
            total.update(part)
        return total

    def extract_output(self, counts: Counter[str]) -> dict[str, int]:
        """Return the counts."""
        return dict(counts)
