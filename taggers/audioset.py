"""The 527 classes of AudioSet's clip labels, in the order of a tagger's outputs."""

from __future__ import annotations

from functools import cache

from schemas.ontology import SoundClass, configs_dir, default_ontology, read_table


@cache
def classes() -> tuple[SoundClass, ...]:
    """Return AudioSet's classes in the order in which its publisher numbers them (Gemmeke et al., ICASSP 2017)."""
    rows = sorted(read_table(configs_dir() / "labels" / "audioset_527.csv"), key=lambda row: int(row["index"]))
    return tuple(default_ontology()[row["class_id"]] for row in rows)
