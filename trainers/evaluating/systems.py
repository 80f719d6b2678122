"""The systems that can be evaluated: a function of Python's, a command line, a folder of answers, a checkpoint of a training."""

from __future__ import annotations

import hashlib
import importlib
import math
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import soundfile
import torch

from pipelines.core.workspace import is_host_fault
from pipelines.replay.wav import float_wav
from schemas.errors import Reject, RunStopped, UserError
from taggers.base import Embedder
from trainers.evaluating.fitting import TOLERANCE_S, Given
from trainers.evaluating.items import EXTRACTION, INSTRUCTIONS, Item

FORMS = (
    "`package.module:function`, a command line with {mixture} and {out}, a folder of <key>.wav or <key>.flac, "
    "or a training's folder or .safetensors file"
)

FILES = (".wav", ".flac")
"""Kinds of files of a folder of answers."""

WEIGHTS = ("best.safetensors", "last.safetensors")
"""Files of a training's folder; the first that is there is taken."""

_FUNCTION = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
_PLACES = re.compile(r"\{(mixture|query|out|task|" + "|".join(INSTRUCTIONS) + r")\}")


class System(Protocol):
    """A separator.

    Attributes:
        name: as the user named it.
        kind: ``function``, ``command``, ``folder`` or ``checkpoint``.
        revision: what determines its answers as far as that is known; None: nothing is.
        keeps: whether its answers are worth keeping: those of a folder lie there already.
        query_encoder: loaded model that its queries go through; None: there is none, or it is not known.
        stored: it is asked by embeddings that mixtures hold, instead of words.
    """

    name: str
    kind: str
    revision: str | None
    keeps: bool
    query_encoder: Embedder | None
    stored: bool

    def __call__(self, item: Item) -> Given:
        """Return its answer; Reject where it gives none."""


class Function:
    """A function ``(mixture, rate, query)`` of a module, which gets float32 of shape (T,) and gives as many samples at that rate.

    For removal it gets ``task="removal"`` besides.

    Args:
        name: ``package.module:function``; modules are looked for in the current folder, too.

    Raises:
        UserError: there is no such module or function.
    """

    kind: str = "function"
    keeps: bool = True
    query_encoder: Embedder | None = None
    stored: bool = False

    def __init__(self, name: str) -> None:
        module, _, attribute = name.partition(":")
        if os.getcwd() not in sys.path:
            sys.path.append(os.getcwd())
        try:
            found = importlib.import_module(module)
        except Exception as error:
            words = f"{type(error).__name__}: {_line(str(error))}"
            raise UserError(f"--system {name}: the module {module} cannot be imported ({words})") from None
        function = getattr(found, attribute, None)
        if not callable(function):
            raise UserError(f"--system {name}: the module {module} has no function {attribute}")
        self.name = name
        self.function: Callable[[Any, int, str], Any] = function
        # Of what the module imports or loads nothing is known.
        self.revision = hashlib.sha256(Path(found.__file__).read_bytes()).hexdigest() if found.__file__ else None

    def __call__(self, item: Item) -> Given:
        """Return what the function returns; an exception is a reject ``system_failed``, unless it is the machine's fault."""
        try:
            more = {} if item.task == EXTRACTION else {"task": item.task}
            made = self.function(item.mixture.copy(), item.rate, item.query, **more)
        except (Exception, SystemExit) as error:
            if is_host_fault(error) or isinstance(error, torch.OutOfMemoryError):
                raise RunStopped(f"{self.name}: {type(error).__name__}: {_line(str(error))}") from error
            raise Reject("system_failed", f"{type(error).__name__}: {_line(str(error))}") from error
        if (shape := getattr(made, "shape", None)) is not None and len(shape) != 1:
            raise Reject("wrong_shape", f"has shape {tuple(shape)}, not (samples,)")
        return Given(made, item.rate)


class Command:
    """A command line, run once per mixture and by no shell, in the current folder.

    ``{mixture}`` is a WAV file of 32-bit float, ``{query}`` the words, one argument however many they are, ``{out}`` the WAV or FLAC
    file to write, ``{task}`` ``extraction`` or ``removal``. ``{instruction_extract}`` and ``{instruction_remove}`` are the sentences
    of the sample that ask for its target.

    Raises:
        UserError: it is no command line, lacks ``{out}``, or its program is not there.
    """

    kind: str = "command"
    keeps: bool = True
    query_encoder: Embedder | None = None
    stored: bool = False
    revision: str | None = None

    def __init__(self, name: str) -> None:
        try:
            self.name, self.words = name, shlex.split(name)
        except ValueError as error:
            raise UserError(f"--system {name}: is no command line ({error})") from None
        if "{out}" not in name or "{mixture}" not in name:
            raise UserError(f"--system {name}: a command line must hold {{mixture}} and {{out}}")
        if shutil.which(self.words[0]) is None:
            raise UserError(f"--system {name}: there is no program {self.words[0]}")

    def __call__(self, item: Item) -> Given:
        """Return what the command wrote; a reject ``system_failed`` where it fails or writes nothing, ``not_audio`` where no sound."""
        with tempfile.TemporaryDirectory(prefix="earloom-") as folder:
            given, made = Path(folder, "mixture.wav"), Path(folder, "out.wav")
            given.write_bytes(float_wav(item.mixture, item.rate))
            values = {"mixture": str(given), "out": str(made), **self._told(item)}
            # In one pass: a query that holds {out} is a query.
            words = [_PLACES.sub(lambda place: values[place[1]], word) for word in self.words]
            try:
                done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, check=False)
            except OSError as error:
                raise RunStopped(f"{self.name}: cannot be run ({error.strerror})") from error
            except ValueError as error:  # words that no command line can hold
                raise Reject("system_failed", f"cannot be asked: {_line(str(error))}") from None
            said = (done.stderr.strip() or done.stdout.strip()).decode("utf-8", "replace").replace(f"{folder}/", "")
            if done.returncode:
                last = said.splitlines()[-1] if said else "it says nothing"
                raise Reject("system_failed", f"exit code {done.returncode}: {_line(last)}")
            if not made.is_file():
                raise Reject("system_failed", "exit code 0, and nothing is written to {out}")
            return _read(made, item)

    def _told(self, item: Item) -> dict[str, str]:
        """Return what is said to the command, by place; reject ``no_words`` where the sample lacks a sentence that is asked for."""
        sentences = {name: item.record.get(name) for name in INSTRUCTIONS if f"{{{name}}}" in self.name}
        if item.task != EXTRACTION and (sentences or "{task}" not in self.name):
            raise UserError(
                f"--system {self.name}: for --task {item.task} it must hold {{task}}, and no instruction: those ask for the target"
            )
        for name, sentence in sentences.items():
            if not sentence:
                raise Reject("no_words", f"the mixture holds no {name}")
        return {"query": item.query, "task": item.task} | {name: str(words) for name, words in sentences.items()}


class Folder:
    """A folder of answers, ``<key>.wav`` or ``<key>.flac``, or these in a folder for each set, ``<set's label>/<key>.wav``.

    Raises:
        UserError: it holds no such file.
    """

    kind: str = "folder"
    keeps: bool = False
    query_encoder: Embedder | None = None
    stored: bool = False
    revision: str | None = None

    def __init__(self, name: str) -> None:
        self.name, self.folder = name, Path(name).expanduser()
        self._asked: dict[Path, str] = {}
        if not any(path.suffix in FILES for path in self.folder.rglob("*")):
            raise UserError(f"--system {name}: holds no .wav or .flac file, and no weights; it must be {FORMS}")

    def __call__(self, item: Item) -> Given:
        """Return a file's sound; rejects ``missing_audio``, ``not_audio``; UserError where it would answer two sets' mixtures."""
        own = self.folder / item.set
        stem = (own if own.is_dir() else self.folder) / item.key
        if self._asked.setdefault(stem, item.set) != item.set:
            two = f"{self._asked[stem]} and {item.set}"
            raise UserError(f"--system {self.name}: {item.key} is in {two}; put answers into folders {two} below it")
        for suffix in FILES:
            path = stem.with_name(f"{item.key}{suffix}")
            if path.exists():
                return _read(path, item)
        raise Reject("missing_audio", f"there is no {item.key}.wav or .flac")


def system_of(name: str, device: str) -> System:
    """Return a system by what the user calls it.

    Args:
        name: one of :data:`FORMS`.
        device: where a checkpoint works.

    Raises:
        UserError: it is none of these, or cannot be used.
    """
    if "{mixture}" in name or "{out}" in name:
        return Command(name)
    path = Path(name).expanduser()
    weights = next((path / each for each in WEIGHTS if (path / each).is_file()), path)
    if weights.is_file() and weights.suffix == ".safetensors":
        from trainers.evaluating.checkpoint import Checkpoint

        return Checkpoint(name, weights, device)
    if path.is_dir():
        return Folder(name)
    if _FUNCTION.fullmatch(name):
        return Function(name)
    raise UserError(f"--system {name}: is none of these: {FORMS}")


def _read(path: Path, item: Item) -> Given:
    """Return a file's sound, but no more of it than could fit the mixture: a header may claim any length."""
    try:
        with soundfile.SoundFile(path) as file:
            most = math.ceil((len(item.mixture) / item.rate + TOLERANCE_S) * file.samplerate) + 1
            samples, rate = file.read(most, dtype="float32", always_2d=True), file.samplerate
    except soundfile.LibsndfileError as error:
        raise Reject("not_audio", f"{path.name}: {_line(error.error_string)}") from None
    if len(samples) == most:
        raise Reject("wrong_length", f"is longer than the mixture by more than {TOLERANCE_S:g} s")
    return Given(samples, rate)


def _line(text: str) -> str:
    """Return the first line of a text, at most 200 characters of it."""
    return (text.strip().splitlines() or ["no message"])[0][:200]
