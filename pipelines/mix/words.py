"""The words of a mixture: what it is asked by, what it is not asked by, and the instructions to extract the one or to remove the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipelines.mix.conflict import Relation
from pipelines.mix.naming import joined, keyword_of, noun_of, word_of
from pipelines.mix.query import classes_in, fits
from pipelines.mix.relative import Lying, apart
from schemas.mixing import Words

__all__ = ["Asked", "Lying", "Spoken", "Wordings", "asked", "spoken_of"]

CANNOT_TELL_APART = "cannot_tell_apart"
QUERY_NAMES_INTERFERER = "query_names_interferer"

DRAWS = 8
"""Uniform numbers that a mixture's words are given: extraction, removal, prompt, whether relative, by what; three are not used."""

Origin = Literal["caption", "label", "keyword", "relative"]


@dataclass(frozen=True, slots=True)
class Wordings:
    """Patterns of instructions; ``{what}`` stands for the named sounds. Neither is empty."""

    extract: tuple[str, ...]
    remove: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Spoken:
    """What one clip may be called in a mixture. Sets of classes are bits of the default ontology.

    Attributes:
        caption: the publisher's, if it may be asked by; None: there is none, or it tells of other sounds than the labels.
        label: its most specific classes as one phrase.
        keyword: one of these: the narrowest.
        names: these, one by one.
        spoken: what an instruction calls them: ``the dog barking``.
        own: classes that are present.
        related: classes that conflict with one of these.
        said: classes that ``caption`` names.
    """

    caption: str | None
    label: str
    keyword: str
    names: tuple[str, ...]
    spoken: tuple[str, ...]
    own: int
    related: int
    said: int


class Asked(NamedTuple):
    """The words of one mixture; the columns of ``plan`` that are named so."""

    query: str
    query_origin: str
    negative: str | None
    prompt: str
    instruction_extract: str
    instruction_remove: str


def asked(
    draws: Sequence[float],
    words: Words,
    patterns: Wordings,
    targets: Sequence[Spoken],
    interferers: Sequence[Spoken],
    lying: Sequence[Lying] | None,
    must_be_relative: bool,
) -> Asked | str:
    """Return the words of a mixture, or the reason why none ask for its targets alone.

    The words must fit the targets and no interferer. A caption is taken where the recipe wants captions, there is one
    target, and it names no class that conflicts with one that is present in an interferer; else the classes' names are.
    Where a class of a target conflicts with one of an interferer no names can do, and order or level must: `relative`.

    Args:
        draws: ``DRAWS`` numbers in [0, 1), which choose wherever there is a choice.
        words: what the recipe wants.
        patterns: of instructions.
        targets: at least one; with ``zero_target`` the clip that the words are of.
        interferers: at least one.
        lying: of the targets, then of the interferers; None: nothing is known, or the targets do not sound.
        must_be_relative: the words must tell the target from interferers of its own class.

    Returns:
        The words; or ``cannot_tell_apart``, where they must be relative and cannot; or ``query_names_interferer``.
    """
    theirs = mine = own = 0
    for each in interferers:
        theirs |= each.related
    for each in targets:
        mine |= each.related
        own |= each.own
    clash = own & theirs != 0
    if must_be_relative or clash or draws[3] < words.relative:
        told = _relative(draws, words, patterns, targets, interferers, lying)
        if told is not None:
            return told
        if must_be_relative or clash:
            return CANNOT_TELL_APART if must_be_relative else QUERY_NAMES_INTERFERER
    negative = _plain(words.query, interferers, mine)[0]
    return Asked(
        *_plain(words.query, targets, theirs),
        negative,
        _prompt(draws[2], words.prompts, negative),
        _instruction(draws[0], patterns.extract, _called(targets)),
        _instruction(draws[1], patterns.remove, _called(interferers)),
    )


def spoken_of(sources: pa.Table, relation: Relation) -> list[Spoken]:
    """Return what each clip may be called; one per row of ``sources``, in order.

    A caption is left out where the rules find classes in it, and none of them is a class of the clip's labels, one above
    or one below (`pipelines.mix.query`): asked by it, another sound would be meant. Where they find none, it is kept.
    """
    own, related = (_as_ints(sets) for sets in relation.of(sources))
    columns = (sources.column(name).to_pylist() for name in ("class_ids", "class_names", "caption", "label", "spoken"))
    found = []
    for class_ids, class_names, caption, label, spoken, present, conflicting in zip(
        *columns, own, related, strict=True
    ):
        said = classes_in(caption) if caption else 0
        if fits(said, class_ids) == "names_other":
            caption, said = None, 0
        names, keyword = tuple(map(word_of, class_names)), keyword_of(tuple(class_ids))
        found.append(Spoken(caption or None, label, keyword, names, tuple(spoken), present, conflicting, said))
    return found


def _plain(kind: str, sources: Sequence[Spoken], others: int) -> tuple[str, Origin]:
    """Return what sources are called together by a caption, or by the names of their classes.

    Args:
        kind: ``caption``, ``label`` or ``keyword``.
        sources: at least one.
        others: classes that a caption must not name.
    """
    first = sources[0]
    if len(sources) == 1:
        if kind == "keyword":
            return first.keyword, "keyword"
        if kind == "caption" and first.caption is not None and not first.said & others:
            return first.caption, "caption"
        return first.label, "label"
    if kind == "keyword":
        return joined(list(dict.fromkeys(each.keyword for each in sources))), "keyword"
    return joined(list(dict.fromkeys(name for each in sources for name in each.names))), "label"


def _relative(
    draws: Sequence[float],
    words: Words,
    patterns: Wordings,
    targets: Sequence[Spoken],
    interferers: Sequence[Spoken],
    lying: Sequence[Lying] | None,
) -> Asked | None:
    """Return words by order or level; None where evidence tells of neither, or no words say what is in the target's way.

    That is where several targets are asked for together, or several of three or more sources conflict with the target.
    """
    if lying is None or len(targets) != 1:
        return None
    target, own, others = targets[0], lying[0], lying[1:]
    rivals = [k for k, each in enumerate(interferers) if each.own & target.related]
    shared = target.own if rivals else 0
    for k in rivals:
        shared &= interferers[k].own
    noun = noun_of(shared)
    told = apart(draws[4], own, others if noun is None else [others[k] for k in rivals])
    if told is None:
        return None
    query = f"the {told.word} {noun or told.stands_for}"
    if len(interferers) == 1:
        negative = rest = f"the {told.other} {noun or told.stands_for}"
    elif not rivals:
        negative, rest = _plain(words.query, interferers, target.related)[0], _called(interferers)
    elif len(rivals) == 1 and noun is not None:
        twin, beside = f"the {told.other} {noun}", [each for k, each in enumerate(interferers) if k not in rivals]
        named = [(each.keyword,) if words.query == "keyword" else each.names for each in beside]
        negative = joined(list(dict.fromkeys([twin, *(name for names in named for name in names)])))
        rest = joined(list(dict.fromkeys([twin, *(what for each in beside for what in each.spoken)])))
    else:
        return None
    prompt = _prompt(draws[2], words.prompts, negative)
    extract = _instruction(draws[0], patterns.extract, query)
    return Asked(query, "relative", negative, prompt, extract, _instruction(draws[1], patterns.remove, rest))


def _called(sources: Sequence[Spoken]) -> str:
    """Return what an instruction calls sources together."""
    if len(sources) == 1:
        return joined(sources[0].spoken)
    return joined(list(dict.fromkeys(what for each in sources for what in each.spoken)))


def _prompt(draw: float, shares: tuple[float, float, float], negative: str | None) -> str:
    """Return by which of the two a mixture is asked for; where there are no negative words, by the others."""
    if negative is None or draw < shares[0]:
        return "positive"
    return "negative" if draw < shares[0] + shares[1] else "both"


def _instruction(draw: float, patterns: Sequence[str], what: str) -> str:
    """Return one of some patterns, filled; ``the sound of`` is left out before what is no thing that sounds but a sound itself."""
    pattern = patterns[int(draw * len(patterns))]
    if "sound" in what or what.endswith(" one"):
        pattern = pattern.replace("the sound of {what}", "{what}")
    return pattern.replace("{what}", what)


def _as_ints(sets: NDArray[np.uint64]) -> list[int]:
    """Return sets as Python ints, one object per distinct set: few are distinct, and clips are many."""
    known: dict[bytes, int] = {}
    found = []
    for row in np.ascontiguousarray(sets, "<u8"):
        key = row.tobytes()
        if key not in known:
            known[key] = int.from_bytes(key, "little")
        found.append(known[key])
    return found
