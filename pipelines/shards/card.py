"""The card of a dataset folder: YAML that Hugging Face's hub and library read, and a page for people."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pipelines.publish.sealed import SealedRun
from pipelines.shards.layout import Group
from pipelines.shards.rendered import RunSamples
from pipelines.shards.tally import Tally
from schemas import __version__
from schemas.licences import LICENCES

_SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"))
_SOUND = ("flac", "wav")
_JINJA = Environment(
    loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)


def card(samples: RunSamples, tally: Tally, certificate: Mapping[str, Any]) -> bytes:
    """Return ``README.md``.

    It tells nothing of single tars, so that it stays true when the folder is split otherwise. Each set is a configuration of its own.

    Args:
        samples: what is exported.
        tally: what the samples hold.
        certificate: what was measured of the run; its plain numbers and words are shown.
    """
    run, groups = samples.run, sorted(tally.samples)
    front: dict[str, Any] = {
        "pretty_name": run.recipe.name,
        "license": "other",
        "license_name": next(iter(tally.licences)) if len(tally.licences) == 1 else "per-sample",
        "license_link": "LICENSE.md",
        "size_categories": [next((words for most, words in _SIZES if sum(tally.samples.values()) < most), "n>10M")],
        "task_categories": ["audio-to-audio"],
        "tags": ["audio", "source-separation", "webdataset", "earloom"],
        "configs": [
            {
                "config_name": name,
                "data_files": [
                    {"split": split, "path": f"{name}-{split}-*.tar"} for each, split in groups if each == name
                ],
            }
            for name in dict.fromkeys(group.set for group in groups)
        ],
        "dataset_info": [
            {
                "config_name": name,
                "features": features(tally),
                "splits": [
                    {"name": group.split, "num_bytes": tally.nbytes[group], "num_examples": tally.samples[group]}
                    for group in groups
                    if group.set == name
                ],
            }
            for name in dict.fromkeys(group.set for group in groups)
        ],
    }
    page = _JINJA.get_template("card.md.j2").render(
        name=run.recipe.name,
        version=__version__,
        content=samples.content,
        recipe=run.seal["files"]["recipe.yaml"],
        tally=tally,
        groups=groups,
        first=next(iter(groups), Group("mix", "train")),
        recipes=any(member.startswith("source") for member in tally.members),
        left_out=samples.left_out(),
        measured=list(_plain(certificate)),
        meanings=LICENCES,
        stages=[_stage(run, name) for name in run.seal["stages"]],
    )
    return f"---\n{yaml.safe_dump(front, sort_keys=False, allow_unicode=True)}---\n\n{page}".encode()


def features(tally: Tally) -> list[dict[str, Any]]:
    """Return what `datasets` is to make of each member of a sample: sounds, the JSON's own columns, else bytes."""
    found: list[dict[str, Any]] = []
    for member in tally.members:
        kind = member.rpartition(".")[2]
        if kind in _SOUND:
            found.append({"name": member, "dtype": "audio"})
        elif kind == "json":
            found.append({"name": member, "struct": [_feature(each.name, each.type) for each in tally.columns]})
        elif kind == "npy":  # `datasets` decodes it to a list
            found.append({"name": member, "list": "float32"})
        else:
            found.append({"name": member, "dtype": "binary"})
    return [*found, {"name": "__key__", "dtype": "string"}, {"name": "__url__", "dtype": "string"}]


def _feature(name: str, kind: pa.DataType) -> dict[str, Any]:
    if pa.types.is_list(kind):
        inner = _feature("", kind.value_type)
        inner.pop("name")
        return {"name": name, "list": inner.get("struct", inner.get("dtype", inner))}
    if pa.types.is_struct(kind):
        return {"name": name, "struct": [_feature(each.name, each.type) for each in kind]}
    words = {"double": "float64", "null": "string"}
    return {"name": name, "dtype": words.get(str(kind), str(kind))}


def licence_page(licences: Mapping[str, int], attribution: str) -> bytes:
    """Return ``LICENSE.md`` from how many samples are under each licence."""
    lines = [
        "# Licences",
        "",
        "Each recording keeps the licence that its maker gave it; a mixture is bound by all of its sources' together: `licence`",
        "in its JSON.",
        f"`{attribution}` names maker, licence and page of each recording. The names below are Earloom's own short forms;",
        "they are no legal advice.",
        "",
    ]
    told = (f"- `{name}`, {n:,} mixtures: {LICENCES[name]}" for name, n in sorted(licences.items()))
    return ("\n".join([*lines, *told]) + "\n").encode()


def _stage(run: SealedRun, name: str) -> dict[str, str]:
    identity = run.identity(name)
    words = "; ".join(f"{key} {value}" for key, value in sorted(identity["revisions"].items())).replace("|", "/")
    return {"name": name, "version": str(identity["version"]), "revisions": words or "–"}


def _plain(told: Mapping[str, Any], above: str = "") -> list[tuple[str, str]]:
    """Return the numbers and words of a certificate, each with the keys that lead to it; lists are told by their length alone."""
    found: list[tuple[str, str]] = []
    for key, value in told.items():
        name = f"{above}{key}"
        if isinstance(value, Mapping):
            found += _plain(value, f"{name}.")
        elif not isinstance(value, list):
            found.append((name, f"{value:.6g}" if isinstance(value, float) else str(value).replace("|", "/")))
    return found
