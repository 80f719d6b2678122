"""``earloom shards verify``: proves from a dataset folder alone that every file, sample and index entry is as it was written."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from pipelines.core.workspace import TMP
from pipelines.shards.layout import INDEX, MANIFEST, SIZES, dali_name, index_name, tar_name
from pipelines.shards.manifest import Manifest, read_manifest
from pipelines.shards.tars import Index, Member, parse_index, read_tar

_FOLDER = "is a folder where a file is due; remove it"


@dataclass(frozen=True)
class Fault:
    """Something that is not as it was written.

    Attributes:
        file: the file, relative to the folder.
        what: what is wrong with it, in words.
    """

    file: str
    what: str


@dataclass(frozen=True)
class Proof:
    """What was checked, and what is wrong.

    Attributes:
        files: how many files.
        samples: how many samples.
        members: how many members of samples, each of whose sha256 was computed.
        faults: what is wrong; empty: nothing.
    """

    files: int
    samples: int
    members: int
    faults: list[Fault]


def verify(folder: Path, manifest: Manifest | None = None) -> Proof:
    """Check a dataset folder: each file against the manifest, each member of each sample against the index, keys, names, bounds.

    Args:
        folder: the dataset folder.
        manifest: what it is held against; None: its own.

    Raises:
        UserError: it is no dataset folder, or its manifest was altered.
    """
    manifest = manifest or read_manifest(folder)
    faults = [Fault(name, "is no file of this dataset; remove it") for name in _strangers(folder, manifest)]
    faults += _numbered(manifest)
    samples = members = 0
    keys: set[str] = set()
    for name, facts in manifest.files.items():
        if not name.endswith(".tar"):
            faults += _plain(folder, name, facts["sha256"])
            continue
        index, found = _tar(folder, manifest, name)
        faults += found
        samples, members = samples + len(index.keys), members + len(index.members)
        twice = keys.intersection(index.keys)
        faults += [Fault(name, f"holds {key}, which an earlier tar holds too") for key in sorted(twice)]
        keys.update(index.keys)
    if _bytes(folder, SIZES) not in (None, manifest.sizes()):
        faults.append(Fault(SIZES, "tells other numbers of samples than the tars hold"))
    return Proof(len(manifest.files) + 1, samples, members, list(dict.fromkeys(faults)))


def _strangers(folder: Path, manifest: Manifest) -> list[str]:
    """Return files that the manifest does not name; what a killed repair left is no one's business."""
    here = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file()]
    known = {*manifest.files, MANIFEST}
    return [name for name in here if name not in known and not name.rpartition("/")[2].startswith(TMP)]


def _numbered(manifest: Manifest) -> list[Fault]:
    """Return the gaps in the numbers of tars, and tars and indices of which the manifest lacks the other."""
    faults = []
    for group, tars in manifest.tars.items():
        expected = [tar_name(group, number) for number in range(len(tars))]
        faults += [
            Fault(MANIFEST, f"names {got} where {want} is due")
            for got, want in zip(tars, expected, strict=True)
            if got != want
        ]
    due = {name for tars in manifest.tars.values() for tar in tars for name in (index_name(tar), dali_name(tar))}
    there = {name for name in manifest.files if name.startswith(f"{INDEX}/")}
    return faults + [Fault(MANIFEST, f"does not tell the same of tars and of {name}") for name in sorted(due ^ there)]


def _plain(folder: Path, name: str, sha256: str) -> list[Fault]:
    try:
        with (folder / name).open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return [Fault(name, "is missing")]
    except IsADirectoryError:
        return [Fault(name, _FOLDER)]
    return [] if found == sha256 else [Fault(name, "has other bytes than were written")]


def _tar(folder: Path, manifest: Manifest, name: str) -> tuple[Index, list[Fault]]:
    """Return what lies in a tar, and what is wrong with it and with its indices, which must tell the same."""
    facts = manifest.files[name]
    try:
        with (folder / name).open("rb") as file:
            index, sha256 = read_tar(file)
    except FileNotFoundError:
        return Index(), [Fault(name, "is missing")]
    except IsADirectoryError:
        return Index(), [Fault(name, _FOLDER)]
    except ValueError as error:
        faults = _plain(folder, name, facts["sha256"])
        return Index(), [Fault(name, str(error)), *faults]
    faults = [] if sha256 == facts["sha256"] else [Fault(name, "has other bytes than were written")]
    told = _told(folder, index_name(name))
    if told is not None:
        # Where the two differ, the one with other bytes than were written is to blame.
        blamed = name if faults else index_name(name)
        faults += [Fault(blamed, words) for words in _differences(index, told)]
    if _bytes(folder, dali_name(name)) not in (None, index.dali()):
        faults.append(Fault(dali_name(name), "does not tell what lies in the tar"))
    if len(index.keys) != facts["samples"]:
        faults.append(Fault(name, f"holds {len(index.keys)} samples, not {facts['samples']}"))
    if len(index.keys) > manifest.bounds.samples:
        faults.append(Fault(name, f"holds more than {manifest.bounds.samples} samples"))
    if facts["bytes"] > manifest.bounds.bytes and len(index.keys) > 1:
        faults.append(Fault(name, f"is larger than {manifest.bounds.bytes} bytes"))
    return index, faults


def _told(folder: Path, name: str) -> Index | None:
    """Return an index as it lies there; None where it cannot be read, which its own sha256 tells."""
    try:
        return parse_index((folder / name).read_bytes())
    except (FileNotFoundError, IsADirectoryError, ValueError, TypeError):
        return None


def _bytes(folder: Path, name: str) -> bytes | None:
    path = folder / name
    return path.read_bytes() if path.is_file() else None


def _differences(index: Index, told: Index) -> list[str]:
    """Return which members of which samples are not what the index tells, the first ten."""
    pairs = zip_longest(index.members, told.members)
    return [_difference(lies, says) for lies, says in pairs if lies != says][:10]


def _difference(lies: Member | None, says: Member | None) -> str:
    if lies is None or says is None:
        one, words = (lies, "which its index lacks") if lies else (says, "which is not there")
        return f"sample {one.key if one else ''}, member {one.member if one else ''}: {words}"
    if (lies.key, lies.member) == (says.key, says.member) and lies.sha256 != says.sha256:
        return f"sample {says.key}, member {says.member}: has other bytes than its index tells"
    return f"sample {says.key}, member {says.member}: does not lie where its index tells"
