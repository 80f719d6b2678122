"""Which classes are known to sound together: those that a publisher labels in one clip."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy import sparse

from pipelines.mix.conflict import words_of
from schemas.ontology import Ontology


def together(class_ids: pa.ListArray, labelled: NDArray[np.bool_], ontology: Ontology) -> NDArray[np.uint64]:
    """Return for each class the classes that some clip has beside it, as words of 64 bits, shape (classes, W).

    Publishers' labels and events count alone, whose clips have ten seconds or little more; a label stands for the classes above
    it too: where a bark and rain occur together, a dog and rain do. The relation is symmetric, and each class that occurs is
    together with itself and with what is above it.

    Args:
        class_ids: the classes of each clip.
        labelled: whether they come from its publisher; the others do not count.
        ontology: whose classes are the bits.
    """
    size = len(ontology)
    values = class_ids.flatten().dictionary_encode()
    names = np.array([ontology.index(class_id) for class_id in values.dictionary.to_pylist()], np.int64)
    places = names[values.indices.to_numpy()] if len(values) else names
    clips = np.repeat(np.arange(len(class_ids)), class_ids.value_lengths().to_numpy())
    places, clips = places[labelled[clips]], clips[labelled[clips]]
    present = sparse.csr_array((np.ones(len(places)), (clips, places)), shape=(len(class_ids), size))
    above = [[i, j] for i, node in enumerate(ontology.classes) for j in _at_or_above(ontology, node.class_id)]
    up = sparse.csr_array((np.ones(len(above)), np.transpose(above)), shape=(size, size))
    seen = (up.T @ (present.T @ present) @ up).toarray() > 0
    return words_of([int.from_bytes(np.packbits(row, bitorder="little").tobytes(), "little") for row in seen], size)


def _at_or_above(ontology: Ontology, class_id: str) -> list[int]:
    names = [class_id, *ontology.class_ids(ontology.ancestors(class_id))]
    return [ontology.index(each) for each in names]


def united(own: NDArray[np.uint64], known: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return, of each set of classes, all classes that are known to sound together with one of them, shape (n, W).

    Args:
        own: sets of classes as words of 64 bits, shape (n, W).
        known: what :func:`together` gives.
    """
    made = np.zeros_like(own)
    for place, row in enumerate(known):
        has = (own[:, place // 64] >> np.uint64(place % 64)) & np.uint64(1) == 1
        if has.any():
            made[has] |= row
    return made
