"""``earloom shards repair``: restores damaged and missing files of a dataset folder, byte for byte, from its run or from another copy."""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipelines.core.workspace import TMP, Workspace
from pipelines.publish.outbox import Outbox
from pipelines.publish.sealed import open_sealed
from pipelines.shards.documents import Certify, run_certificate, seen, write_documents
from pipelines.shards.folder import FolderSamples, open_folder
from pipelines.shards.layout import INDEX, MANIFEST, SIZES, Group, Samples, dali_name, group_of, packed, tar_name
from pipelines.shards.manifest import Manifest, parse_manifest, read_manifest
from pipelines.shards.rendered import Choice, RunSamples
from pipelines.shards.tars import read_tar
from pipelines.shards.verify import verify
from pipelines.shards.writing import host_faults, write_pieces
from schemas.errors import RunStopped, UserError


def repair(folder: Path, source: str, certify: Certify = run_certificate) -> list[str]:
    """Restore what is not as it was written; return the files that were. What is sound is not touched.

    A file is written beside its place and moved there when its sha256 is the manifest's: killed at any instant, the same command
    goes on.

    Args:
        folder: the dataset folder.
        source: the run that it was exported from, or another copy of it; a copy may be split otherwise.
        certify: measures a run, if the certificate has to be made again.

    Raises:
        UserError: ``folder`` is no dataset folder, or ``source`` is neither or of another dataset; a file is none of the dataset's.
        RunStopped: the source does not give the bytes that were written, or the machine failed.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; name the one that was exported")
    with _alone(folder), host_faults(str(folder)):
        manifest, taken = _manifest(folder, source)
        damaged = _damaged(
            folder, manifest
        )  # nothing is written, nor removed, before it is known to be this dataset's folder
        for name in (*manifest.files, MANIFEST):
            (folder / name).with_name(f"{TMP}{Path(name).name}").unlink(missing_ok=True)
        mended = []
        if taken:
            with _beside(folder / MANIFEST) as path:
                path.write_bytes(manifest.to_bytes())
            mended.append(MANIFEST)
        if not damaged:
            return mended
        samples = _samples(manifest, source)
        tars = {name for name in damaged if name.endswith(".tar")}
        for group in sorted({group_of(name) for name in tars}):
            mended += _tars(folder, manifest, samples, group, tars)
        for name in sorted(name for name in damaged if name.startswith(f"{INDEX}/")):
            tar = f"{Path(name).stem}.tar"
            with (folder / tar).open("rb") as file:
                index, _ = read_tar(file)
            mended.append(_put(folder, manifest, name, index.dali() if name == dali_name(tar) else index.csv()))
        if SIZES in damaged:
            mended.append(_put(folder, manifest, SIZES, manifest.sizes()))
        if documents := sorted(damaged.intersection(manifest.documents)):
            mended += _documents(folder, manifest, samples, documents, certify)
        return mended


def _manifest(folder: Path, source: str) -> tuple[Manifest, bool]:
    """Return the manifest, and whether it had to be taken from another copy of the same files, which alone can give it."""
    try:
        return parse_manifest((folder / MANIFEST).read_bytes()), False
    except (FileNotFoundError, IsADirectoryError, ValueError):
        if not (Path(source) / MANIFEST).is_file():
            raise UserError(
                f"{folder / MANIFEST}: is missing or was altered, and a run cannot give it; name another copy"
            ) from None
        return read_manifest(Path(source)), True


def _damaged(folder: Path, manifest: Manifest) -> set[str]:
    proof = verify(folder, manifest)
    if strangers := [fault for fault in proof.faults if fault.file not in manifest.files]:
        raise UserError(f"{folder / strangers[0].file}: {strangers[0].what}")
    if folders := [name for name in (*manifest.files, MANIFEST) if (folder / name).is_dir()]:
        raise UserError(f"{folder / folders[0]}: is a folder where a file is due; remove it")
    return {fault.file for fault in proof.faults}


def _samples(manifest: Manifest, source: str) -> RunSamples | FolderSamples:
    """Return the samples of the source; UserError if it is not what the dataset was made of."""
    if (Path(source) / MANIFEST).is_file():
        copy = open_folder(Path(source))
        if any(copy.manifest.told[key] != manifest.told[key] for key in ("content", "options", "exported")):
            raise UserError(f"--from {source}: is a copy of another dataset; name one of this")
        return copy
    if "://" not in source and not Path(source).is_dir():
        raise UserError(f"--from {source}: no such folder; name the run, or another copy")
    try:
        run = open_sealed(Workspace(source.rstrip("/")))
    except ImportError as error:  # the store's own package is not installed
        raise UserError(f"--from {source}: {error}") from None
    options = manifest.told["options"]
    samples = RunSamples(run, Choice(options["licence"], tuple(options["splits"])))
    if samples.content != manifest.told["content"]:
        raise UserError(
            f"--from {source}: has other mixtures than the folder was exported from; name the run that it is of"
        )
    return samples


def _tars(folder: Path, manifest: Manifest, samples: Samples, group: Group, wanted: set[str]) -> list[str]:
    """Make the wanted tars of a group again: the same samples within the same bounds."""
    mended = []
    if group in samples.groups():
        for number, pieces in enumerate(packed(samples.pieces(group), manifest.bounds)):
            if (name := tar_name(group, number)) in wanted:
                with _beside(folder / name) as path:
                    with path.open("wb") as file:
                        write_pieces(file, samples, group, pieces)
                    _check(manifest, name, path)
                mended.append(name)
    if lost := wanted - set(mended) - {name for name in wanted if group_of(name) != group}:
        raise RunStopped(f"{min(lost)}: the source has no samples for it")
    return mended


def _documents(
    folder: Path, manifest: Manifest, samples: RunSamples | FolderSamples, names: list[str], certify: Certify
) -> list[str]:
    if isinstance(samples, FolderSamples):
        return [_put(folder, manifest, name, samples.file(name)) for name in names]
    with tempfile.TemporaryDirectory(prefix="earloom-") as temporary:
        box = Outbox(Path(temporary))
        write_documents(samples, seen(samples), certify, box)
        box.close()
        return [_put(folder, manifest, name, (box.root / name).read_bytes()) for name in names]


def _put(folder: Path, manifest: Manifest, name: str, data: bytes) -> str:
    with _beside(folder / name) as path:
        path.write_bytes(data)
        _check(manifest, name, path)
    return name


def _check(manifest: Manifest, name: str, path: Path) -> None:
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != manifest.files[name]["sha256"]:
            raise RunStopped(
                f"{name}: the source gives other bytes than were written; it was altered, or another version of Earloom reads it"
            )


@contextmanager
def _beside(final: Path) -> Iterator[Path]:
    """Give a path to write to, which becomes ``final`` when the block ends well, and else is removed."""
    final.parent.mkdir(parents=True, exist_ok=True)
    path = final.with_name(f"{TMP}{final.name}")
    try:
        yield path
        with path.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(path, final)
    finally:
        path.unlink(missing_ok=True)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the kernel's lock on the folder, which goes with the process, however that ends."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise UserError(f"{folder}: another repair works there; wait for it") from None
    finally:
        os.close(descriptor)
