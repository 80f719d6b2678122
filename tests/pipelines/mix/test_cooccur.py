"""Which classes sound together: what a publisher labels in one clip, and what stands above it."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from mix_world import IDS, ONTOLOGY

from pipelines.mix.conflict import words_of
from pipelines.mix.cooccur import together, united


def known(*sets: list[str], labelled: bool = True) -> np.ndarray:
    lists = pa.array([[IDS[name] for name in each] for each in sets], pa.list_(pa.string()))
    return together(lists, np.full(len(sets), labelled), ONTOLOGY)


def beside(table: np.ndarray, a: str, b: str) -> bool:
    i, j = ONTOLOGY.index(IDS[a]), ONTOLOGY.index(IDS[b])
    return bool(int(table[i, j // 64]) >> (j % 64) & 1)


def test_labels_of_one_clip_sound_together_with_all_above_them():
    table = known(["Bark", "Rain"], ["Speech", "Guitar"])
    for a, b in (
        ("Bark", "Rain"),
        ("Dog", "Rain"),
        ("Animal", "Rain"),
        ("Rain", "Dog"),
        ("Musical instrument", "Speech"),
    ):
        assert beside(table, a, b), (a, b)
    for a, b in (("Bark", "Speech"), ("Yip", "Rain"), ("Acoustic guitar", "Speech")):
        assert not beside(table, a, b), (a, b)


def test_the_relation_is_symmetric():
    table = known(["Bark", "Rain"], ["Speech", "Guitar", "Dog"])
    bits = np.unpackbits(table.view(np.uint8), axis=1, bitorder="little")[:, : len(ONTOLOGY)]
    assert (bits == bits.T).all()


def test_what_nobody_labelled_counts_for_nothing():
    assert not known(["Bark", "Rain"], labelled=False).any()
    assert not known().any()


def test_what_sounds_together_with_one_class_of_a_clip_does_with_the_clip():
    table = known(["Bark", "Rain"], ["Speech", "Guitar"])
    own = words_of([ONTOLOGY.bits([IDS["Bark"], IDS["Speech"]]), 0], len(ONTOLOGY))
    found = united(own, table)
    assert (found[0] == table[ONTOLOGY.index(IDS["Bark"])] | table[ONTOLOGY.index(IDS["Speech"])]).all()
    assert not found[1].any()
