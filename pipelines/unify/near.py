"""Classes whose names mean nearly the same as a name or a word, by sentence embeddings."""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipelines.unify.names import Near, class_names, default_index
from schemas.errors import UserError
from taggers import sentences

NEAREST = 5
"""Classes that are told of a name which no table knows."""

LEAST_LETTERS = 4
"""Of a word of a caption that is held against names: shorter ones are mostly of grammar."""


class Close(NamedTuple):
    """A class and the cosine of its nearest name, in [-1, 1], rounded to four decimals."""

    class_id: str
    score: float


def revision() -> str:
    """Return the revision of the model of sentences. Raises UserError where the extra ``text`` is not installed."""
    try:
        return sentences.revision()
    except UserError as error:
        raise UserError(f"unify.embeddings: {str(error).partition(': ')[2]}") from None


@cache
def nearest(name: str) -> tuple[Close, ...]:
    """Return the classes with the names nearest to a label, best first, :data:`NEAREST` of them.

    A class is as near as the nearest of its names: the ontology's, the parts of it that commas divide, and our phrases for it.
    """
    found: dict[str, float] = {}
    for class_id, score in zip(*_scores(re.sub(r"[\W_]+", " ", name).strip().lower(), *_names()), strict=True):
        found[class_id] = max(score, found.get(class_id, -1.0))
    best = sorted(found.items(), key=lambda item: (-item[1], item[0]))[:NEAREST]
    return tuple(Close(class_id, score) for class_id, score in best)


def word_near(least: float) -> Near:
    """Return what knows the class of a word that means nearly the same as a phrase of one word.

    A phrase of several words is left out, since it says more than the word: "metal" is no "heavy metal", "horn" no "car horn".

    Args:
        least: cosine from which on a word is taken for the phrase, in (0, 1].
    """

    def near(word: str) -> str | None:
        close = _closest(word) if len(word) >= LEAST_LETTERS else None
        return close.class_id if close is not None and close.score >= least else None

    return near


@cache
def _closest(word: str) -> Close:
    class_ids, scores = _scores(word, *_words())
    best = int(np.argmax(scores))
    return Close(class_ids[best], scores[best])


def _scores(text: str, class_ids: list[str], vectors: NDArray[np.float32]) -> tuple[list[str], list[float]]:
    cosines = vectors @ sentences.loaded().embed([text])[0]
    return class_ids, [round(float(cosine), 4) for cosine in cosines]


@cache
def _names() -> tuple[list[str], NDArray[np.float32]]:
    """Return the names of classes, as classes and embeddings."""
    names = class_names()
    return list(names.values()), sentences.loaded().embed_table(list(names))


@cache
def _words() -> tuple[list[str], NDArray[np.float32]]:
    """Return the phrases of one word, in every form, as classes and embeddings."""
    phrases = default_index().phrases.items()
    chosen = {words[0]: class_id for words, class_id in phrases if len(words) == 1 and class_id is not None}
    return list(chosen.values()), sentences.loaded().embed_table(list(chosen))
