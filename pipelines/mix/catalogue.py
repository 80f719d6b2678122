"""What may be mixed, as arrays: one catalogue of all sources, and of each set and split the pool that it is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipelines.mix.conflict import Relation
from pipelines.mix.quotas import Ints, counted, rarest, tenths
from pipelines.mix.words import Spoken, spoken_of
from schemas.ids import seed_for
from schemas.mixing import MixtureSet

STAGE = "plan"
"""Name under which seeds are drawn."""


@dataclass(frozen=True)
class Catalogue:
    """All sources in order of ``clip_id``; every array has a row for each.

    Attributes:
        ids: clip ids.
        dataset, split: codes into ``datasets`` and ``splits``.
        group: code of the group.
        uploader: code of who made the recording; -1: not known.
        samples: samples stored.
        own, related: words of 64 bits of the classes that are present, and of those that conflict with them, shape (n, W).
        rarest: code of the class that the fewest clips have, of those that the clip is labelled with.
        inferred: whether its classes come from words or listeners alone.
        captioned: whether it has a publisher's caption.
        onset_s: where its first timed event begins; NaN: nothing is timed.
        spoken: what it may be called.
    """

    ids: pa.StringArray
    datasets: list[str]
    splits: list[str]
    dataset: Ints
    split: Ints
    group: Ints
    uploader: Ints
    samples: Ints
    own: NDArray[np.uint64]
    related: NDArray[np.uint64]
    rarest: Ints
    inferred: NDArray[np.bool_]
    captioned: NDArray[np.bool_]
    onset_s: NDArray[np.float64]
    spoken: Sequence[Spoken] = field(repr=False)
    class_ids: pa.ListArray = field(repr=False)


def catalogue(sources: pa.Table, relation: Relation) -> Catalogue:
    """Return the rows of ``sources``, whatever their order, as a catalogue under one relation of conflict."""
    table = sources.sort_by("clip_id").combine_chunks()
    own, related = relation.of(table)
    dataset, datasets = _codes(table.column("dataset"))
    split, splits = _codes(table.column("split"))
    class_ids = _whole(table.column("class_ids"))
    codes, classes = _codes(class_ids.flatten())
    seconds = table.column("duration_s").to_numpy() * table.column("sample_rate").to_numpy()
    return Catalogue(
        ids=_whole(table.column("clip_id")),
        datasets=datasets,
        splits=splits,
        dataset=dataset,
        split=split,
        group=_codes(table.column("group_id"))[0],
        uploader=_codes(table.column("attribution"))[0],
        samples=np.rint(seconds).astype(np.int64),
        own=own,
        related=related,
        rarest=rarest(codes, class_ids.value_lengths().to_numpy(), len(classes)),
        inferred=pc.equal(table.column("state"), "inferred").to_numpy(),
        captioned=pc.is_valid(table.column("caption")).to_numpy(),
        onset_s=table.column("onset_s").to_numpy(),
        spoken=spoken_of(table, relation),
        class_ids=class_ids,
    )


@dataclass(frozen=True)
class Pool:
    """What one set is made of in one split.

    Attributes:
        catalogue: where the rows are.
        set: the set's rules.
        split: the split.
        seed: of every draw of the set in the split.
        clips: rows of the catalogue that are targets and interferers, rising.
        beds: rows that are backgrounds, rising.
        targets: the row whose turn it is in each mixture, by number.
        within: mixtures that there are turns for; each that follows asks for a clip that has been a target often enough.
        rooms: names of the impulse responses; empty: none.
    """

    catalogue: Catalogue
    set: MixtureSet
    split: str
    seed: int
    clips: Ints
    beds: Ints
    targets: Ints
    within: int
    rooms: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Return the number of mixtures."""
        return len(self.targets)


def pool_of(found: Catalogue, chosen: MixtureSet, split: str, run_seed: int, rooms: tuple[str, ...] = ()) -> Pool:
    """Return what a set is made of in one split; without clips or turns it has no mixtures."""
    here = found.split == _code(found.splits, split)
    if not chosen.inferred:
        here &= ~found.inferred
    beds = np.zeros(len(here), np.bool_)
    if chosen.background:
        beds = found.dataset == _code(found.datasets, chosen.background.dataset)
    fits = here & ~beds
    if chosen.datasets:
        fits &= np.isin(found.dataset, [_code(found.datasets, name) for name in chosen.datasets])
    if chosen.words_of != "any":
        fits &= found.captioned == (chosen.words_of == "caption")
    clips = np.flatnonzero(fits)
    seed = seed_for(run_seed, STAGE, f"{chosen.name}/{split}")
    targets, within = _turns(found, chosen, clips, seed)
    return Pool(found, chosen, split, seed, clips, np.flatnonzero(here & beds), targets, within, rooms)


def _turns(found: Catalogue, chosen: MixtureSet, clips: Ints, seed: int) -> tuple[Ints, int]:
    """Return the row whose turn it is in each mixture, and how many of the mixtures there are turns for."""
    if not len(clips):
        return clips, 0
    if chosen.count is None:
        return np.tile(clips, chosen.per_clip), len(clips) * chosen.per_clip
    strata = {
        "class": found.rarest,
        "dataset": found.dataset,
        "duration": tenths(found.samples[clips].astype(np.float64)),
    }
    named = [strata[name] if name == "duration" else strata[name][clips] for name in chosen.balance]
    shares = {_code(found.datasets, name): share for name, share in chosen.quotas.items()}
    turns, within = counted(chosen.count, found.dataset[clips], shares, named, chosen.most_per_clip, seed)
    return clips[turns], within


def _codes(column: pa.Array | pa.ChunkedArray) -> tuple[Ints, list[str]]:
    """Return codes of strings, -1 for null, and the strings in their order."""
    names = sorted(pc.unique(column).drop_null().to_pylist())
    codes = pc.fill_null(pc.index_in(column, pa.array(names, pa.string())), -1)
    return codes.to_numpy().astype(np.int64), names


def _code(names: list[str], name: str) -> int:
    """Return the code of a name; -2, which no row has, where there is none."""
    return names.index(name) if name in names else -2


def _whole(column: pa.ChunkedArray) -> pa.Array:
    """Return a column in one piece."""
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
