"""Whether a caption says where it sounds, or what the surroundings are like: a heuristic by phrases.

``configs/catalog/places.csv`` is ours. ``location`` is a place: a room, a building, a way, a part of a town, a landscape; not
a thing that sounds there (a tap, a train), nor where in the recording something is (in the background). ``environment`` is
what the surroundings are like: in or out of doors, how busy or quiet, how the place echoes, the weather as a state (windy, in
the rain) and not as a sound (wind, thunder), the time of day. A church bell is no church, but counts: nothing is understood.
"""

from __future__ import annotations

from functools import cache
from typing import Literal, get_args

from schemas.errors import UserError
from schemas.ontology import configs_dir, read_table

Kind = Literal["location", "environment"]


@cache
def phrases() -> dict[tuple[str, ...], Kind]:
    """Return the phrases of ``configs/catalog/places.csv``, as words, with what each of them tells.

    Raises:
        UserError: a phrase stands there twice, or tells neither of the two.
    """
    found: dict[tuple[str, ...], Kind] = {}
    for row in read_table(configs_dir() / "catalog" / "places.csv"):
        phrase = tuple(row["phrase"].split())
        if row["kind"] not in get_args(Kind) or phrase in found:
            raise UserError(f"places.csv: {row['phrase']!r} stands twice, or as something else than {get_args(Kind)}")
        found[phrase] = row["kind"]  # type: ignore[assignment]
    return found


@cache
def _longest() -> int:
    return max(len(phrase) for phrase in phrases())


def told(words: list[str]) -> set[Kind]:
    """Return what a caption tells, given its words in lower case; a plural in ``s`` counts as its singular.

    Measured: 1.4% of the 57,188 captions of AudioCaps tell a location and 1.9% an environment, where Yuan et al. (ICASSP
    2025) count 8.7% and 6.5% by rules that they do not tell; of the 29,645 captions of Clotho 14.0% and 8.5%, of its clips
    in at least one of five captions 35.7% and 25.6%, where they count 24% and 18%. So these are figures to compare corpora
    by, not the published ones made anew.
    """
    known = phrases()
    found: set[Kind] = set()
    for start in range(len(words)):
        for end in range(start + 1, min(start + _longest(), len(words)) + 1):
            phrase = tuple(words[start:end])
            kind = known.get(phrase) or known.get((*phrase[:-1], phrase[-1].removesuffix("s")))
            if kind:
                found.add(kind)
    return found
