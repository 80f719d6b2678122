"""Files of prompts, given relative to ``configs/``: their bytes and hash, what is wrong with one in a line, and texts as data."""

from __future__ import annotations

import contextlib
import hashlib
import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

import jinja2
import jinja2.meta
from pydantic import ValidationError

from schemas.errors import UserError
from schemas.ontology import configs_dir
from schemas.strict_yaml import BadYaml

MOST_DATA = 8000
"""Characters that a prompt takes of a text that is not ours."""


def as_data(text: str) -> str:
    """Return a text that is not ours on one line, bounded, without control and format characters, and without angle brackets.

    A prompt puts it between tags, which it can then not close.
    """
    kept = "".join(c if unicodedata.category(c)[0] != "C" else " " for c in text.replace("<", "(").replace(">", ")"))
    return " ".join(kept.split())[:MOST_DATA]


def prompt_bytes(path: str, key: str) -> bytes:
    """Return a file's bytes; ``key`` is the recipe's that names it. Raises UserError if there is none."""
    file: Path = configs_dir() / path
    try:
        return file.read_bytes()
    except (OSError, ValueError) as error:  # a name with a NUL is a ValueError
        words = getattr(error, "strerror", None) or "no such name"
        raise UserError(f"{key}: {path} cannot be read ({words}); it is looked for in configs/") from None


def prompt_hash(path: str, key: str) -> str:
    """Return the sha256 of a file, in hexadecimal; raises as :func:`prompt_bytes` does."""
    return hashlib.sha256(prompt_bytes(path, key)).hexdigest()


@contextlib.contextmanager
def one_line(path: str, key: str) -> Iterator[None]:
    """Turn what the reading of a file raises in the block into a UserError: the recipe's key, the file, the place, what is wrong."""
    try:
        yield
    except BadYaml as error:
        raise UserError(f"{key}: {path}{error.place}: is not YAML ({error})") from None
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        place = ".".join(str(step) for step in problem["loc"])
        raise UserError(f"{key}: {path}: {place}: {problem['msg'].removeprefix('Value error, ')}") from None
    except (UserError, ValueError, RecursionError) as error:
        raise UserError(f"{key}: {path}: {error}") from None


@lru_cache(maxsize=512)
def compiled(template: str, environment: jinja2.Environment) -> jinja2.Template:
    """Return a template ready to be rendered, as which it is kept: each question asks for it."""
    return environment.from_string(template)


def check_names(used: set[str], known: Iterable[str], part: str) -> None:
    """Raise ValueError where a part of a file names what it may not."""
    if undeclared := used - set(known):
        names = ", ".join(sorted(known)) or "nothing"
        raise ValueError(f"{part}: {min(undeclared)!r} is not among what it may name: {names}")


def check_words(question: str, contains: Iterable[str], lacks: Iterable[str], place: str) -> None:
    """Raise ValueError where a question lacks words that a case wants of it, or has such as it must not have."""
    for words in contains:
        if words not in question:
            raise ValueError(f"{place}: the question does not contain {words!r}")
    for words in lacks:
        if words in question:
            raise ValueError(f"{place}: the question contains {words!r}")


def names_in(template: str, environment: jinja2.Environment, part: str) -> set[str]:
    """Return the variables that a template names; ValueError, with the part of the file that it is, where it is none."""
    try:
        return jinja2.meta.find_undeclared_variables(environment.parse(template))
    except jinja2.TemplateSyntaxError as error:
        raise ValueError(f"{part}, line {error.lineno}: {error.message}") from None
