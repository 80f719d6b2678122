"""Identifiers, partitions and seeds: every name and every random draw in Earloom comes from here."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

MAX_ID = 80
"""Longest identifier, in characters: `<id>.mixture.flac` must fit the 100 bytes of a ustar member name."""

_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")


def slug(text: str) -> str:
    """Return ``text`` with every run of characters outside ``[A-Za-z0-9_-]`` as one ``_``.

    A text that had to be changed or cut carries eight hexadecimal digits of its sha256, so that two
    different texts never share a slug.
    """
    clean = _UNSAFE.sub("_", text)
    if clean == text and 0 < len(text) <= MAX_ID - 24:
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:8]
    return f"{clean.strip('_')[: MAX_ID - 33]}_{digest}"


def record_id(dataset: str, source_id: str, start_ms: int | None = None) -> str:
    """Return ``<dataset>-<source id>[-<start ms>]``, made of ``[A-Za-z0-9_-]`` only.

    WebDataset splits a member's name at its first dot, so an identifier holds none.
    """
    base = f"{slug(dataset)}-{slug(source_id)}"
    return base if start_ms is None else f"{base}-{start_ms}"


def digest(*parts: str) -> bytes:
    """Return the sha256 of ``parts``, unambiguous about where one part ends and the next begins."""
    return hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogateescape")).digest()


def partition_of(key: str, partitions: int) -> int:
    """Return the partition in ``[0, partitions)`` that ``key`` belongs to, the same on every machine."""
    return int.from_bytes(digest("partition", key)[:8], "big") % partitions


def seed_for(run_seed: int, stage: str, key: str) -> int:
    """Return the 63-bit seed of one row: a function of run seed, stage and identifier, and of nothing else."""
    return int.from_bytes(digest("seed", str(run_seed), stage, key)[:8], "big") >> 1


def canonical_json(value: Any) -> str:
    """Return ``value`` as JSON with sorted keys and no spaces: equal values give equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def fingerprint(value: Any) -> str:
    """Return the sha256 of the canonical JSON of ``value``, in hexadecimal."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()
