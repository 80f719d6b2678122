"""What the files of an evaluation list contain, as far as the list itself tells: its labels, tags or captions."""

from __future__ import annotations

import re
from collections import defaultdict
from functools import cache
from typing import Any, NamedTuple

from pipelines.ingest.texts import read_json
from pipelines.replay.lists import Listing, Pair
from pipelines.unify.names import default_index, normalise
from schemas.ontology import configs_dir, default_ontology, read_table

TAGS = "lass_validation.json"
"""DCASE's file of clips with their tags, looked for beside its list."""


class Known(NamedTuple):
    """The names that a file is labelled with, normalised, and the classes of the ontology that they mean."""

    names: frozenset[str]
    class_ids: frozenset[str]


NOTHING = Known(frozenset(), frozenset())


def origin_of(listing: Listing) -> str:
    """Return what the classes of a list's files are known by: ``labels``, ``tags`` or ``words``; ``none``: of the target alone."""
    if listing.form.rule == "mixture":
        return "none"
    if listing.form.labels == "tags":
        return "tags" if (listing.path.parent / TAGS).is_file() else "words"
    return "words" if listing.form.labels == "words" else "labels"


def known_of(listing: Listing) -> dict[str, Known]:
    """Return what is known of each file that is labelled or described, by its name without extension.

    With the rules ``stems`` the key of the other file is ``<name>/other``: both stems of a mixture have one name.
    """
    form, named, said = listing.form, defaultdict[str, set[str]](set), defaultdict[str, set[str]](set)
    if form.labels == "tags" and origin_of(listing) == "tags":
        named |= _tags(listing)
    numbers = {_number(pair): pair.query for pair in listing.pairs} if form.labels == "number" else {}
    for pair in listing.pairs:
        target, other = keys_of(listing, pair)
        if form.labels == "names":
            named[target] |= set(display_names(pair.told))
        elif form.labels == "number":
            named[target].add(pair.query)
            if (name := numbers.get(pair.other.stem.rpartition("-")[2])) is not None:
                named[other].add(name)
        elif form.labels == "query":
            named[target].add(pair.query)
            if pair.told:
                named[other].add(pair.told)
        elif target not in named:
            said[target].add(pair.query)
    known = {file: _labelled(names, form.name) for file, names in named.items()}
    return known | {file: _described(texts) for file, texts in said.items()}


def keys_of(listing: Listing, pair: Pair) -> tuple[str, str]:
    """Return the keys in :func:`known_of` of a pair's two files."""
    other = f"{pair.other.stem}/other" if listing.form.rule == "stems" else pair.other.stem
    return pair.target.stem, other


def display_names(text: str) -> list[str]:
    """Return AudioSet's display names of which a text is made, one after the other with a space between.

    Names hold spaces and commas themselves; of two that begin alike the longer one is meant.
    """
    return _display_names().findall(text)


@cache
def _display_names() -> re.Pattern[str]:
    ontology, rows = default_ontology(), read_table(configs_dir() / "labels" / "audioset_527.csv")
    names = sorted((ontology[row["class_id"]].name for row in rows), key=len, reverse=True)
    return re.compile("|".join(rf"(?<!\S){re.escape(name)}(?!\S)" for name in names))


def _number(pair: Pair) -> str:
    return pair.target.stem.rpartition("-")[2]


def _tags(listing: Listing) -> dict[str, set[str]]:
    entries = read_json(listing.path.parent / TAGS)
    found = [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    return {str(entry.get("Index")): _texts(entry.get("Tags")) for entry in found}


def _texts(told: Any) -> set[str]:
    return {each for each in told if isinstance(each, str)} if isinstance(told, list) else set()


def _labelled(names: set[str], dataset: str) -> Known:
    found = [default_index().lookup(name, dataset) for name in names]
    ids = {class_id for match in found if match for class_id in (match.class_id, *match.also)}
    return Known(frozenset(map(normalise, names)), frozenset(ids))


def _described(texts: set[str]) -> Known:
    index = default_index()
    return Known(frozenset(), frozenset(mention.class_id for text in texts for mention in index.tags_in_text(text)))
