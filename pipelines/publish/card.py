"""The card of a dataset folder: what was run, what is in it, what was left out, and under which licences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pipelines.publish.form import Options
from pipelines.publish.sealed import SealedRun
from schemas import __version__
from schemas.licences import LICENCES

_SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"))
_JINJA = Environment(
    loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)


def card(
    run: SealedRun,
    options: Options,
    counts: Mapping[str, Any],
    features: Sequence[Mapping[str, Any]],
    splits: Sequence[Mapping[str, Any]],
    file_bytes: int,
    languages: Sequence[str],
) -> str:
    """Return ``README.md``: YAML that Hugging Face's hub and library read, and a page for people.

    Args:
        run: the run.
        options: what was asked for.
        counts: what the manifest counts.
        features: the columns, as the card describes them.
        splits: name, bytes in memory and rows of each split.
        file_bytes: bytes of the Parquet files.
        languages: languages of the candidates, BCP 47.
    """
    rows = sum(split["num_examples"] for split in splits)
    front: dict[str, Any] = {
        "pretty_name": run.recipe.name,
        "license": "other",
        "license_name": next(iter(counts["licences"])) if len(counts["licences"]) == 1 else "per-recording",
        "license_link": "LICENSE.md",
        "size_categories": [next((words for most, words in _SIZES if rows < most), "n>10M")],
        "tags": ["audio-captioning", "earloom"],
    }
    if languages:
        front["language"] = list(languages)
    front["configs"] = [
        {
            "config_name": "default",
            "data_files": [{"split": split["name"], "path": f"data/{split['name']}-*"} for split in splits],
        }
    ]
    front["dataset_info"] = {
        "features": list(features),
        "splits": [dict(split) for split in splits],
        "download_size": file_bytes,
        "dataset_size": sum(split["num_bytes"] for split in splits),
    }
    page = _JINJA.get_template("card.md.j2").render(
        name=run.recipe.name,
        version=__version__,
        seal=run.sha256,
        options=options,
        counts=counts,
        splits=splits,
        stages=[_stage(run, name) for name in run.seal["stages"]],
        sets=_evaluation_sets(run),
        meanings=LICENCES,
    )
    return f"---\n{yaml.safe_dump(front, sort_keys=False, allow_unicode=True)}---\n\n{page}"


def licence_page(licences: Mapping[str, int]) -> str:
    """Return ``LICENSE.md`` from how many clips are under each licence."""
    lines = [
        "# Licences",
        "",
        "Each recording keeps the licence that its maker gave it: the columns `licence` and `licence_text`, and a line in",
        "`attribution.csv`. The names are Earloom's own short forms of what publishers write; they are no legal advice.",
        "",
    ]
    return "\n".join([*lines, *(f"- `{name}`, {n:,} clips: {LICENCES[name]}" for name, n in licences.items())]) + "\n"


def _stage(run: SealedRun, name: str) -> dict[str, str]:
    identity = run.identity(name)
    revisions = sorted(identity["revisions"].items())
    words = "; ".join(f"{key} {value}" for key, value in revisions).replace("|", "/")
    return {"name": name, "version": str(identity["version"]), "revisions": words or "–"}


def _evaluation_sets(run: SealedRun) -> list[tuple[str, int]]:
    """Return the evaluation sets that were kept out, and how many rows that left out."""
    asked = run.recipe.data.decontaminate
    dropped = run.dropped("index") if asked else {}
    return [(name, dropped.get(f"decontaminated:{name}", 0)) for name in asked]
