"""Columns of the table ``heard`` as arrays of small integers: millions of rows without a Python object for each."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from schemas.ontology import default_ontology

Integers = NDArray[np.int64]


def listeners_in(heard: pa.Table, listed: pa.Table) -> tuple[list[str], Integers]:
    """Return the listeners that are heard, sorted, and of each row, shape (n,), the place of its own among them.

    Raises:
        ValueError: one of them does not stand in ``listed``, rows of ``listeners``, and would be lost.
    """
    values, codes = _coded(heard.column("listener"))
    if unlisted := sorted(set(values) - set(listed.column("listener").to_pylist())):
        raise ValueError(f"evidence of {unlisted[0]!r}: no stage that writes evidence is named for it")
    order = sorted(range(len(values)), key=lambda code: values[code])
    return [values[code] for code in order], np.argsort(np.array(order, np.int64))[codes]


def classes_in(heard: pa.Table) -> Integers:
    """Return of each row, shape (n,), the place of its class in the ontology; -1: it has none."""
    values, codes = _coded(heard.column("class_id"))
    places = [default_ontology().index(value) for value in values]
    return np.array([*places, -1], np.int64)[codes]


def clips_in(heard: pa.Table) -> Integers:
    """Return the first row of each clip, shape (clips + 1,), the last being the number of rows; a clip's rows are adjacent."""
    if not heard.num_rows:
        return np.zeros(1, np.int64)
    clips = heard.column("clip_id")
    changes = pc.not_equal(clips.slice(1), clips.slice(0, len(clips) - 1))
    inner = np.flatnonzero(changes.to_numpy()) + 1
    return np.concatenate([[0], inner, [len(clips)]]).astype(np.int64)


def _coded(column: pa.ChunkedArray) -> tuple[list[str], Integers]:
    """Return the distinct values of a column of strings, and each row's place among them, -1 for null."""
    encoded = column.dictionary_encode().combine_chunks()
    if isinstance(encoded, pa.ChunkedArray):  # no rows, no chunk
        return [], np.zeros(0, np.int64)
    return encoded.dictionary.to_pylist(), encoded.indices.fill_null(-1).to_numpy().astype(np.int64)
