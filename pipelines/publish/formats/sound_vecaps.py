"""Sound-VECaps' form (Yuan et al., ICASSP 2025): of each clip what is seen and heard, and what is heard alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipelines.catalog.places import told
from pipelines.publish.form import ID_TAKEN, Format, Served
from pipelines.publish.items import Item, Row, Side, accepted
from pipelines.publish.names import YouTubeNames
from pipelines.publish.sinks import CsvFile
from pipelines.publish.words import words

STYLES = {"Sound-VECaps_full.csv": "full", "Sound-VECaps_audio.csv": "audible"}
"""A table's file -> the style of the candidates in it."""
PLACES = "Sound-VECaps_places.csv"
TOLD = ("location", "environment")
SURROUNDINGS = frozenset({"indoors", "inside", "outdoor", "outdoors", "outside"})
"""Words of place that name no place."""


@dataclass(frozen=True)
class Corpus:
    """A line of the comparison: clips or captions, mean words of a caption, and how many tell a location or an environment."""

    corpus: str
    captions: int
    mean_words: float | None
    location: int
    environment: int
    source: str


_PAPER = "Yuan et al., ICASSP 2025, who do not tell their rules"
PUBLISHED = (
    Corpus("Sound-VECaps-F", 1_660_000, 40, 1_460_000, 1_380_000, _PAPER),
    Corpus("Sound-VECaps-A", 1_660_000, 31, 1_440_000, 1_360_000, _PAPER),
    Corpus("WavCaps", 400_000, None, 51_000, 37_000, _PAPER),
    Corpus("Auto-ACD", 1_900_000, None, 1_230_000, 69_000, _PAPER),
    Corpus("AudioCaps", 46_000, None, 4_000, 3_000, _PAPER),
    Corpus("Clotho", 5_000, None, 1_200, 900, _PAPER),
)
"""What the paper reports, rounded as there."""


@dataclass
class Export(Format):
    """Both tables, the places beside them, and the paper's comparison with this run's figures in it."""

    def __post_init__(self) -> None:
        self._tables = {file: CsvFile(self.box, file, ("id", "caption")) for file in STYLES}
        self._places = CsvFile(self.box, PLACES, ("variant", "id", "candidate_id", *TOLD, "places", "verdicts"))
        self._name = YouTubeNames(self.run.recipe)
        self._sums = {style: dict.fromkeys(("captions", "words", *TOLD), 0) for style in STYLES.values()}
        self._claimed = "claims" in self.run.writers

    @property
    def products(self) -> tuple[str, ...]:
        """Both tables."""
        return tuple(STYLES)

    @property
    def sides(self) -> dict[str, Side]:
        """The places that candidates claim."""
        if "claims" not in self.run.writers:
            return {}
        return {"claims": Side(("candidate_id", "clip_id", "kind", "text", "verdict"), ("kind", "place"))}

    def serve(self, item: Item) -> Served:
        """Write the best accepted candidate of each style; a clip may have one of them alone."""
        best = {style: best_of(item, style) for style in STYLES.values()}
        left: dict[str, str | None] = {file: None if best[style] else f"no_{style}" for file, style in STYLES.items()}
        name = self._name(item)
        if not all(left.values()) and not self.take("", name):
            return self.left_out(ID_TAKEN)
        for file, style in STYLES.items():
            if candidate := best[style]:
                self._tables[file].add({"id": name, "caption": candidate["text"]})
                self._place(name, style, candidate, item.more.get("claims", []))
        used = tuple(dict.fromkeys(row["candidate_id"] for row in best.values() if row))
        return Served(left, name, used)

    def _place(self, name: str, style: str, candidate: Row, claims: list[Row]) -> None:
        own = [row for row in claims if row["candidate_id"] == candidate["candidate_id"]]
        flags = flags_of(candidate["text"], [row["text"] for row in own] if self._claimed else None)
        for key, value in {"captions": 1, "words": len(words(candidate["text"])), **flags}.items():
            self._sums[style][key] += value
        row = {"variant": style, "id": name, "candidate_id": candidate["candidate_id"], **flags}
        row["places"], row["verdicts"] = ("; ".join(each[key] for each in own) for key in ("text", "verdict"))
        self._places.add(row)

    def close(self, counts: Mapping[str, Any]) -> dict[str, Any]:
        """Write the comparison."""
        name = self.run.recipe.name
        rows = [
            Corpus(
                f"{name}, {style}",
                sums["captions"],
                round(sums["words"] / sums["captions"], 2) if sums["captions"] else None,
                sums["location"],
                sums["environment"],
                "this export",
            )
            for style, sums in self._sums.items()
        ]
        compared = [vars(row) for row in (*rows, *PUBLISHED)]
        self.box.open("comparison.json").write((json.dumps(compared, indent=1, ensure_ascii=False) + "\n").encode())
        self.box.open("comparison.md").write(markdown((*rows, *PUBLISHED), self._claimed).encode())
        return {"places_from": "claims" if self._claimed else "captions"}


def best_of(item: Item, style: str) -> Row | None:
    """Return the best accepted candidate of a style; None: there is none."""
    return next((row for row in accepted(item) if row["style"] == style), None)


def flags_of(caption: str, places: list[str] | None) -> dict[str, int]:
    """Return whether a caption tells a location and an environment, 1 or 0.

    Args:
        caption: its text. It tells an environment where it holds a phrase of that kind: see :mod:`pipelines.catalog.places`.
        places: the words of its claims of kind ``place``. One of them that ends in another word than :data:`SURROUNDINGS` is a
            location; None: claims were not looked for, and a phrase of that kind tells.
    """
    kinds = told(words(caption))
    claimed = [words(place) for place in places or []]
    located = (
        "location" in kinds if places is None else any(not SURROUNDINGS.issuperset(place[-1:]) for place in claimed)
    )
    return {"location": int(located), "environment": int("environment" in kinds)}


def markdown(rows: tuple[Corpus, ...], claimed: bool) -> str:
    """Return the comparison as a page."""
    where = "claims a place that is more than indoors or outdoors" if claimed else "holds a phrase of that kind"
    lines = [
        "# Captions that tell where",
        "",
        f"Here a caption tells a location where it {where}, and an environment where it holds a phrase of that kind; the",
        "phrases are Earloom's `configs/catalog/places.csv`. How the published figures were counted is not published.",
        "",
        "| corpus | captions | mean words | with location | with environment | source |",
        "|---|---:|---:|---:|---:|---|",
    ]
    for row in rows:
        mean = "not told" if row.mean_words is None else f"{row.mean_words:g}"
        lines.append(
            f"| {row.corpus} | {row.captions:,} | {mean} | {row.location:,} | {row.environment:,} | {row.source} |"
        )
    return "\n".join(lines) + "\n"
