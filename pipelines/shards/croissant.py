"""``croissant.json``: a dataset folder as machines find and load it, in MLCommons Croissant 1.1 with provenance in W3C PROV-O.

Source: Croissant Format Specification, version 1.1 (MLCommons, 2026). Tars and indices are told by patterns, so that the file does not
depend on how samples are spread over tars. ``url``, ``creator`` and ``datePublished`` are the publisher's to add: no run knows them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.publish.sealed import SealedRun
from pipelines.shards.layout import INDEX, Group
from pipelines.shards.rendered import RunSamples
from pipelines.shards.tally import Tally
from pipelines.shards.tars import COLUMNS
from schemas import __version__
from schemas.licences import LICENCES

NAME = "croissant.json"
_TERMS = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "prov": "http://www.w3.org/ns/prov#",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""The terms of the standard, and PROV-O's namespace."""

_SPLITS = {"train": "cr:TrainingSplit", "val": "cr:ValidationSplit", "test": "cr:TestSplit"}
_TYPES = {"offset": "cr:Int64", "size": "cr:Int64"}


def croissant(samples: RunSamples, tally: Tally, files: Mapping[str, str]) -> bytes:
    """Return the file.

    Args:
        samples: what is exported; the content, recipe and stages of its run are the provenance.
        tally: what the samples hold.
        files: name -> sha256 of the single files, CSV or JSON, that the dataset is told by.
    """
    run, groups = samples.run, sorted(tally.samples)
    told: dict[str, Any] = {
        "@context": _TERMS,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "name": run.recipe.name,
        "description": _description(run, tally),
        "version": f"{__version__}+{samples.content[:12]}",
        "license": [f"{name}: {LICENCES[name]}" for name in sorted(tally.licences)],
        "keywords": ["language-queried audio source separation", "sound mixtures", "earloom"],
        "isLiveDataset": False,
        **_provenance(samples),
        "distribution": [
            *(_files(group, kind) for group in groups for kind in ("tar", "csv")),
            *(_object(name, sha256) for name, sha256 in files.items()),
        ],
        "recordSet": [_splits(groups), *map(_index, groups)],
    }
    return (json.dumps(told, indent=1, ensure_ascii=False) + "\n").encode()


def _description(run: SealedRun, tally: Tally) -> str:
    counts = ", ".join(f"{count:,} of {group.set}/{group.split}" for group, count in sorted(tally.samples.items()))
    return (
        f"Mixtures of sound recordings with their targets and the words that ask for them, made by the recipe {run.recipe.name} with "
        f"Earloom {__version__}: {counts or 'none'}. Tars are in the form of WebDataset; a sample's members are "
        f"{', '.join(tally.members) or 'none'}."
    )


def _provenance(samples: RunSamples) -> dict[str, Any]:
    """Return what the dataset was made of, by what, and by which activities: a run's content, its recipe and its stages."""
    run, stages = samples.run, []
    for name, folder in run.seal["stages"].items():
        identity = run.identity(name)
        stages.append(
            {
                "@type": "prov:Activity",
                "@id": f"urn:earloom:stage:{folder.rpartition('/')[2]}",
                "prov:label": f"{name}, version {identity['version']}",
                "prov:used": [{"@id": _revision(*each)} for each in sorted(identity["revisions"].items())],
            }
        )
    datasets = [f"urn:dataset:{dataset.name or dataset.adapter}" for dataset in run.recipe.data.datasets]
    return {
        "prov:wasDerivedFrom": [
            {"@id": f"urn:sha256:{samples.content}", "prov:label": "content of the run"},
            {"@id": f"urn:sha256:{run.seal['files']['recipe.yaml']}", "prov:label": "recipe"},
            *({"@id": name} for name in sorted(set(datasets))),
        ],
        "prov:wasGeneratedBy": stages,
        "prov:wasAttributedTo": {"@type": "prov:SoftwareAgent", "prov:label": f"Earloom {__version__}"},
    }


def _revision(name: str, revision: Any) -> str:
    """Return a model's, prompt's or table's revision as a URN, in the characters that one may have."""
    return "urn:earloom:revision:" + "".join(c if c.isalnum() or c in "-._:" else "-" for c in f"{name}:{revision}")


def _files(group: Group, kind: str) -> dict[str, Any]:
    stem = f"{group.set}-{group.split}"
    tar = kind == "tar"
    return {
        "@type": "cr:FileSet",
        "@id": f"{stem}-{'samples' if tar else 'index'}",
        "name": f"{stem}-{'samples' if tar else 'index'}",
        "description": f"{'Samples' if tar else 'Where each member of each sample lies, with its sha256'}: {group.set}, {group.split}.",
        "encodingFormat": "application/x-tar" if tar else "text/csv",
        "includes": f"{stem}-*.tar" if tar else f"{INDEX}/{stem}-*.csv",
    }


def _object(name: str, sha256: str) -> dict[str, Any]:
    kind = "text/csv" if name.endswith(".csv") else "application/json"
    told = {"@type": "cr:FileObject", "@id": name, "name": name, "contentUrl": name, "encodingFormat": kind}
    return told | {"sha256": sha256}


def _splits(groups: Sequence[Group]) -> dict[str, Any]:
    names = sorted({group.split for group in groups})
    return {
        "@type": "cr:RecordSet",
        "@id": "splits",
        "name": "splits",
        "dataType": "cr:Split",
        "key": {"@id": "splits/name"},
        "field": [
            {"@type": "cr:Field", "@id": "splits/name", "name": "name", "dataType": "sc:Text"},
            {"@type": "cr:Field", "@id": "splits/url", "name": "url", "dataType": "sc:URL"},
        ],
        "data": [{"splits/name": name, "splits/url": _SPLITS.get(name, "cr:Split")} for name in names],
    }


def _index(group: Group) -> dict[str, Any]:
    name = f"{group.set}-{group.split}"
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": "One member of one sample: its tar is that of the index's name.",
        "key": [{"@id": f"{name}/key"}, {"@id": f"{name}/member"}],
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"{name}/{column}",
                "name": column,
                "dataType": _TYPES.get(column, "sc:Text"),
                "source": {"fileSet": {"@id": f"{name}-index"}, "extract": {"column": column}},
            }
            for column in COLUMNS
        ],
    }
