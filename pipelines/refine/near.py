"""Sounds whose names the index does not know: words of a caption that mean nearly the same as a name that it knows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache

from pipelines.refine.claims import Near
from pipelines.refine.lexicon import ATTRIBUTES, ENVIRONMENT_OF, NUMBERS, TIMES, VERBS
from pipelines.unify.names import Mention, default_index
from pipelines.unify.near import word_near

NEAR = 0.8
"""Least cosine of words and a name that are taken for the same sound."""

_WORD = re.compile(r"[a-z]+(?:-[a-z]+)*", re.IGNORECASE)
_DENIED = re.compile(r"\b(?:no|not|never|without)(?:\s+\w+){0,2}\s+$", re.IGNORECASE)


def names_nearby() -> Near:
    """Return what finds, in a caption, the sounds that sentence embeddings know beside the default index.

    The model is loaded with the first word that is asked for; a word is embedded once per process.
    """
    return _nearby


def _nearby(text: str, mentions: Sequence[Mention]) -> list[Mention]:
    class_of = word_near(NEAR)
    found = ((start, end, class_of(text[start:end].lower())) for start, end in _unnamed(text, mentions))
    return [Mention(class_id, text[start:end], start, end) for start, end, class_id in found if class_id is not None]


def _unnamed(text: str, mentions: Sequence[Mention]) -> Iterator[tuple[int, int]]:
    """Yield the words that no mention holds and no table knows."""
    for found in _WORD.finditer(text):
        word = found[0].lower()
        named = any(mention.start < found.end() and found.start() < mention.end for mention in mentions)
        if not named and len(word) > 3 and word not in _other() and not _DENIED.search(text[: found.start()]):
            yield found.start(), found.end()


@cache
def _other() -> frozenset[str]:
    """Words that claim something else than a sound, and those that the index knows, and passes over where it does on purpose."""
    attributes = (word for row in ATTRIBUTES for word in row)
    known = (words[0] for words in default_index().phrases if len(words) == 1)
    return frozenset([*known, *VERBS, *attributes, *ENVIRONMENT_OF, *NUMBERS, *TIMES])
