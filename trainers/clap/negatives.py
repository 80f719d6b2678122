"""Which clips may be held against one another, by the ontology, and how those that are hard to tell apart meet in a batch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import cache, reduce
from operator import or_

import numpy as np
import torch
from torch import Tensor

from pipelines.mix.conflict import Words, relation, words_of
from schemas.mixing import Conflict
from schemas.ontology import default_ontology


def class_words(sets: Sequence[Iterable[str]]) -> Tensor:
    """Return sets of classes and all that is equal to, above or below one of them, as bits: int64, shape (n, 2, W).

    Class ``i`` of the ontology is bit ``i % 64`` of word ``i // 64``; see `schemas.ontology.Ontology.related_mask`.
    """
    ontology = default_ontology()
    own = [ontology.bits(each) for each in sets]
    related = [reduce(or_, map(ontology.related_mask, each), 0) for each in sets]
    words: list[Words] = [words_of(bits, len(ontology)) for bits in (own, related)]
    return torch.from_numpy(np.stack(words, axis=1).view(np.int64))


def no_negatives(words: Tensor) -> Tensor:
    """Say of each pair of clips whether neither may be held against the other: bool, shape (n, n), symmetric, False for a clip itself.

    That is where each class of the one is equal to, above or below one of the other, and the reverse: a caption that tells of a dog is
    not wrong of a barking, nor the reverse, while one that tells of a dog and of rain is wrong of a dog alone. A clip of which no class
    is known may be held against all.

    Args:
        words: of :func:`class_words`, shape (n, 2, W).
    """
    own, related = words.unbind(dim=1)
    covered = (own[:, None] & ~related[None] == 0).all(dim=2)
    known = (own != 0).any(dim=1)
    return (covered & covered.T & known & known[:, None]).fill_diagonal_(False)


@cache
def _hard() -> tuple[int, ...]:
    """Return, by place in the ontology, the bits of the classes that are easily taken for the one there, and are not related to it."""
    ontology, near = default_ontology(), relation(Conflict(siblings=True, confusable=True)).masks
    return tuple(
        bits & ~ontology.related_mask(node.class_id) for node, bits in zip(ontology.classes, near, strict=True)
    )


def together(order: Sequence[int], sets: Sequence[Iterable[str]], share: float, rng: np.random.Generator) -> list[int]:
    """Return an order in which clips that are easily taken for one another follow one another: a permutation of the one given.

    As often as is asked for, a clip is followed by the next one of the order that has a class of the same row of ``confusable.csv``, or
    a sibling of one of its classes, and that may be held against it (Robinson et al. 2021 show that such negatives teach most).

    Args:
        order: numbers of clips.
        sets: the classes of each clip.
        share: of the clips that are followed by such a one, where there is one left.
        rng: draws which.
    """
    ontology, left = default_ontology(), dict.fromkeys(order)
    holding: dict[int, list[int]] = defaultdict(list)
    for number in reversed(order):
        for place in map(ontology.index, sets[number]):
            holding[place].append(number)
    ranks = {number: rank for rank, number in enumerate(order)}
    made = []
    for number in order:
        if number not in left:
            continue
        del left[number]
        made.append(number)
        if rng.random() >= share:
            continue
        near = reduce(or_, (_hard()[ontology.index(class_id)] for class_id in sets[number]), 0)
        related = reduce(or_, map(ontology.related_mask, sets[number]), 0)
        found = []
        for place in (ontology.index(class_id) for class_id in ontology.class_ids(near)):
            while holding[place] and holding[place][-1] not in left:
                holding[place].pop()
            found += [each for each in holding[place][-1:] if not ontology.bits(sets[each]) & related]
        if found:
            after = min(found, key=ranks.__getitem__)
            del left[after]
            made.append(after)
    return made
