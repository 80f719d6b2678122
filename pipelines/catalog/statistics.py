"""What is told of a corpus as a whole: sums and distinct things over its members."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import apache_beam as beam

from pipelines.catalog.captions import words
from pipelines.catalog.groups import Group
from pipelines.catalog.members import Row, sets_of
from pipelines.catalog.places import told
from pipelines.catalog.tables import KEYS

Corpus = tuple[str, str, str]
"""Run, dataset and published split, or ``ALL``: what a row of ``statistics`` is about."""

SUMS = (
    "members",
    "unnamed",
    "present",
    "timed",
    "nanoseconds",
    "captions",
    "words",
    "located",
    "environment",
    "unlicensed",
)
"""What is summed. Lengths are whole nanoseconds: a sum of floats depends on their order, which no runner promises."""


@dataclass
class Tally:
    """What is known so far of one corpus."""

    sums: list[int] = field(default_factory=lambda: [0] * len(SUMS))
    vocabulary: set[str] = field(default_factory=set)
    classes: set[str] = field(default_factory=set)

    def add(self, other: Tally) -> None:
        """Take in another tally."""
        self.sums = [a + b for a, b in zip(self.sums, other.sums, strict=True)]
        self.vocabulary |= other.vocabulary
        self.classes |= other.classes


def corpora_of(row: Row) -> tuple[Corpus, Corpus]:
    """Return the two corpora that a member is counted in: its published split, and its dataset."""
    split, whole = sets_of(row)
    return (row["run"], *split), (row["run"], *whole)


def tally_of(row: Row) -> Tally:
    """Return the tally of one member."""
    said = [words(caption) for caption in row["captions"]]
    tells = [told(each) for each in said]
    sums = {
        "members": 1,
        "unnamed": row["recording_id"] is None,
        "present": row["present"],
        "timed": row["seconds"] is not None,
        "nanoseconds": round((row["seconds"] or 0.0) * 1e9),
        "captions": len(said),
        "words": sum(map(len, said)),
        "located": sum("location" in each for each in tells),
        "environment": sum("environment" in each for each in tells),
        "unlicensed": row["licence"] == "unknown",
    }
    vocabulary = {word for each in said for word in each}
    return Tally([int(sums[name]) for name in SUMS], vocabulary, set(row["class_ids"]))


class Sum(beam.CombineFn):
    """Adds tallies up."""

    def create_accumulator(self) -> Tally:
        """Return a tally of nothing."""
        return Tally()

    def add_input(self, total: Tally, each: Tally) -> Tally:
        """Take one in."""
        total.add(each)
        return total

    def merge_accumulators(self, totals: Iterable[Tally]) -> Tally:
        """Return the sum of several."""
        whole = Tally()
        for total in totals:
            whole.add(total)
        return whole

    def extract_output(self, total: Tally) -> Tally:
        """Return the sum as it is."""
        return total


def named_in(group: Group) -> list[tuple[Corpus, int]]:
    """Return how many recordings of a group each corpus names."""
    named = {(corpus, row["recording_id"]) for row in group.members for corpus in corpora_of(row)}
    return [(corpus, 1) for corpus, _ in sorted(named)]


def statistics_row(corpus: Corpus, tallies: Iterable[Tally], recordings: Iterable[int]) -> Row:
    """Return the row of one corpus from its tally, and from its recordings as far as it names any."""
    (tally,) = tallies
    total = dict(zip(SUMS, tally.sums, strict=True))
    members, captions = total["members"], total["captions"]
    return {
        **dict(zip(KEYS["statistics"], corpus, strict=True)),
        "members": members,
        "recordings": sum(recordings),
        "unnamed": total["unnamed"] / members,
        "present": total["present"] / members,
        "hours": total["nanoseconds"] / 3.6e12 if total["timed"] else None,
        "timed": total["timed"] / members,
        "captions": captions,
        "caption_words": total["words"] / captions if captions else None,
        "vocabulary": len(tally.vocabulary),
        "located": total["located"],
        "environment": total["environment"],
        "classes": len(tally.classes),
        "unlicensed": total["unlicensed"] / members,
    }
