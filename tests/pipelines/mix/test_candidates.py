"""What may be chosen, by its classes: beside a look at every clip."""

from __future__ import annotations

from collections import Counter

import numpy as np
from mix_world import source, table_of, world

from pipelines.mix.candidates import Candidates
from pipelines.mix.catalogue import catalogue
from pipelines.mix.conflict import clash, relation
from schemas.mixing import Conflict


def test_the_index_of_classes_gives_what_a_look_at_every_clip_gives():
    found = catalogue(table_of(world(200)), relation(Conflict()))
    rows = np.arange(0, 200, 3)
    candidates = Candidates(found, rows)
    for row in range(0, 200, 7):
        expected = rows[~clash(found.related[row], found.own[rows])]
        assert candidates.without(found.related[row]).tolist() == expected.tolist()
        expected = rows[clash(found.own[row], found.own[rows])]
        assert candidates.having(found.own[row]).tolist() == expected.tolist()


def test_a_draw_among_clips_of_a_class_takes_each_class_and_each_clip_as_often():
    rows = [source(f"d{n}", ["Dog"]) for n in range(2)] + [source(f"r{n}", ["Rain"]) for n in range(8)]
    found = catalogue(table_of([*rows, source("x", ["Dog", "Rain"]), source("y", ["Wind"])]), relation(Conflict()))
    candidates, seeds = Candidates(found, np.arange(10)), np.arange(4000, dtype=np.uint64)
    ids = found.ids.to_pylist()
    drawn = candidates.alike(np.repeat(found.own[10:11], 4000, axis=0), seeds, 1)
    uses = Counter(ids[row] for row in drawn.tolist())
    assert all(abs(uses[f"d{n}"] - 1000) < 120 for n in range(2))
    assert all(abs(uses[f"r{n}"] - 250) < 70 for n in range(8))
    # No candidate has wind: any of them is drawn, and does not fit.
    assert len(set(candidates.alike(np.repeat(found.own[11:12], 4000, axis=0), seeds, 1).tolist())) == 10
