"""Weights from their official places, once: fetched beside the others, compared with what is stated of them, then renamed.

A file that is there and is what is stated of it is left alone. One that is not comes under its name only when it is
whole and right; until then it lies in a hidden file or folder beside it.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http.client import HTTPException, HTTPResponse
from pathlib import Path

from schemas.errors import RunStopped, UserError
from taggers.weights import Weights

WAIT_S = 60.0
"""Seconds without a byte after which a server is given up."""

PIECE = 1 << 20
"""Bytes that are held in memory at once."""

DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EACCES}
"""Errors that are the disk's, where the network's are possible too."""


def pull(weights: Weights, folder: Path) -> list[Path]:
    """Fetch published weights into `folder`, all of them or an error; what is there and right is not fetched again.

    From the hub, a file that broke off is fetched anew, and those before it stay. From an address, a file goes on where
    it broke off, if the server can.

    Returns:
        Their paths, in the order of `weights.files`.

    Raises:
        UserError: the place cannot be reached, does not have a file, or broke off.
        ValueError: a file is not what is stated of it, and was removed; or nothing is stated of an address's file.
        RunStopped: the disk has not enough room, or cannot be written.

    """
    stated = dict(weights.digests)
    paths = [folder / file for file in weights.files]
    if all(_is(path, stated.get(file)) for file, path in zip(weights.files, paths, strict=True)):
        return paths
    kind, _, repository = weights.place.partition(":")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if kind == "hub":
            _from_hub(weights, repository, folder)
        elif kind in ("https", "http") and len(paths) == 1 and weights.files[0] in stated:
            _from_address(weights.place, paths[0], stated[weights.files[0]])
        else:
            raise ValueError(f"{weights.place}: is neither hub:<owner>/<repository> nor one file of a stated digest")
    except OSError as error:
        raise RunStopped(f"{error.filename or folder}: cannot be written ({error.strerror or error})") from error
    return paths


def wrong(path: Path, stated: Iterable[str]) -> str | None:
    """Return in words how a file differs from what is stated of it; None: it does not.

    Args:
        path: the file.
        stated: `<algorithm>:<hexadecimal>`, each; an algorithm of hashlib, or `git`: git's name of the content.

    """
    for each in sorted(set(stated)):
        algorithm, _, expected = each.partition(":")
        with path.open("rb") as file:
            if algorithm == "git":
                blob = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
                while piece := file.read(PIECE):
                    blob.update(piece)
                found = blob.hexdigest()
            else:
                found = hashlib.file_digest(file, algorithm).hexdigest()
        if found != expected.lower():
            return f"its {algorithm} is {found}, stated is {expected}"
    return None


def _is(path: Path, stated: str | None) -> bool:
    return stated is not None and path.is_file() and wrong(path, [stated]) is None


def _keep(arrived: Path, path: Path, place: str, words: str | None) -> None:
    """Give a file its name; where words say what is wrong with it, remove it and raise ValueError."""
    if words:
        arrived.unlink()
        raise ValueError(f"{path.name}: what came from {place} is another file: {words}; it was removed")
    path.parent.mkdir(parents=True, exist_ok=True)
    os.replace(arrived, path)


def _room(folder: Path, size: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < size:
        raise RunStopped(
            f"{folder}: {size / 1e9:.2f} GB are to be fetched, {free / 1e9:.2f} GB are free; make room, "
            "or set EARLOOM_MODELS to a folder elsewhere"
        )


def _from_hub(weights: Weights, repository: str, folder: Path) -> None:
    try:
        from huggingface_hub import HfApi, hf_hub_download
        from huggingface_hub.errors import HTTPError  # of the library below, whichever it is
        from huggingface_hub.hf_api import RepoFile
    except ModuleNotFoundError:
        raise UserError("weights on the hub are fetched by huggingface_hub: pip install 'earloom[models]'") from None

    faults = (HTTPError, RuntimeError)  # the latter from its own downloader for large files
    with _reaching(f"{repository} on the hub", folder, *faults):
        listed = HfApi().get_paths_info(repository, list(weights.files), revision=weights.revision)
    known = {each.path: each for each in listed if isinstance(each, RepoFile)}
    if absent := [file for file in weights.files if file not in known]:
        raise UserError(f"{repository} on the hub: has no {', '.join(absent)} at revision {weights.revision}")
    stated = {file: [digest] for file, digest in weights.digests}
    for file, each in known.items():
        theirs = f"sha256:{each.lfs.sha256}" if each.lfs else f"git:{each.blob_id}"
        for ours in stated.setdefault(file, []):
            if ours.startswith("sha256:") and each.lfs and ours != theirs:
                raise ValueError(f"{file}: the hub states {theirs}, Earloom expects {ours}; it was not fetched")
        stated[file].append(theirs)
    wanted = [file for file in weights.files if not (folder / file).is_file() or wrong(folder / file, stated[file])]
    _room(folder, sum(known[file].size for file in wanted))
    # The library leaves notes of its own beside what it fetches, and half files where it is killed.
    arriving = folder / ".pull"
    try:
        for file in wanted:
            shutil.rmtree(arriving, ignore_errors=True)
            with _reaching(f"{file} of {repository} on the hub", folder, *faults):
                hf_hub_download(repository, file, revision=weights.revision, local_dir=arriving)
            _keep(arriving / file, folder / file, repository, wrong(arriving / file, stated[file]))
    finally:
        shutil.rmtree(arriving, ignore_errors=True)


def _from_address(address: str, path: Path, stated: str) -> None:
    part = path.with_name(f".{path.name}.part")
    begun = part.exists()
    _fetch(address, part)
    words = wrong(part, [stated])
    if words and begun:  # the half that lay there may have been another file's
        part.unlink()
        _fetch(address, part)
        words = wrong(part, [stated])
    _keep(part, path, address, words)


def _fetch(address: str, part: Path) -> None:
    """Fetch an address into a file, from where the file ends; UserError unless all came that the server announced."""
    begun = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(address, headers={"Range": f"bytes={begun}-"} if begun else {})
    with _reaching(address, part.parent):
        try:
            answer = urllib.request.urlopen(request, timeout=WAIT_S)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 416 and begun:
                return  # there is no more; the digest tells whether what is here is the file
            raise
    with answer:
        if answer.status != 206:
            begun = 0
        elif not (answer.headers["Content-Range"] or "").startswith(f"bytes {begun}-"):
            part.unlink(missing_ok=True)
            raise UserError(f"{address}: the server sent another part than it was asked for; run the command again")
        here, end = begun, None if answer.length is None else begun + answer.length
        _room(part.parent, answer.length or 0)
        with part.open("r+b" if begun else "wb") as file:
            file.seek(begun)
            while piece := _read(answer, address, part.parent):
                here += file.write(piece)
    if end is not None and here != end:
        raise UserError(f"{address}: broke off after {here} of {end} bytes; run the command again to go on from there")


def _read(answer: HTTPResponse, address: str, folder: Path) -> bytes:
    with _reaching(address, folder):
        return answer.read(PIECE)


@contextmanager
def _reaching(what: str, folder: Path, *faults: type[Exception]) -> Iterator[None]:
    """Turn what goes wrong between here and a server into one line for the user; the disk's errors pass."""
    kinds: tuple[type[Exception], ...] = (OSError, HTTPException, *faults)
    try:
        yield
    except kinds as error:
        if isinstance(error, OSError) and error.errno in DISK:
            raise
        raise UserError(
            f"{what}: cannot be fetched ({_words(error)}); run the command again where there is a network, "
            f"or put the files into {folder} by hand"
        ) from error


def _words(error: BaseException) -> str:
    """Return one line about an error of a library: what it wraps tells more than it does."""
    if isinstance(error, urllib.error.HTTPError):
        return f"the server answers {error.code} {error.reason}"
    inner = getattr(error, "reason", None) or error.__cause__ or error
    text = getattr(inner, "strerror", None) or str(inner).strip() or type(inner).__name__
    return str(text).splitlines()[0][:200]
