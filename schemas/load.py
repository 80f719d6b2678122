"""From a file of settings to what they say: read, overridden, checked; each mistake in one line with key, value and mend."""

from __future__ import annotations

import datetime
import difflib
import math
import re
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from schemas.errors import UserError
from schemas.recipe import Recipe
from schemas.strict_yaml import BadYaml, read_yaml

_SECRET = re.compile(r"key|token|secret|passw|credential", re.IGNORECASE)
_CREDENTIALS = re.compile(r"://[^/\s]*@")


Settings = TypeVar("Settings", bound=BaseModel)


def load_recipe(path: str | Path, overrides: tuple[str, ...] = ()) -> Recipe:
    """Read a recipe and lay ``a.b=c`` overrides over it.

    Raises:
        UserError: in one line, the key, its value and the mend.
    """
    return parse_recipe(read_settings("recipe", path, overrides, "name and data", "mix.per_clip=3"), str(path))


def parse_recipe(raw: dict[str, Any], origin: str) -> Recipe:
    """Check ``raw`` against the models; UserError says in one line what is wrong and how to mend it."""
    return parse_settings("recipe", raw, origin, Recipe)


def read_settings(kind: str, path: str | Path, overrides: tuple[str, ...], needs: str, example: str) -> dict[str, Any]:
    """Read a YAML file of settings and lay ``a.b=c`` overrides over it.

    Args:
        kind: what the settings are of, for messages, e.g. ``recipe``.
        path: the file.
        overrides: each as ``a.b=c``.
        needs: keys that it must have at least, in words.
        example: an override, to show the form.

    Raises:
        UserError: in one line, what is wrong and how to mend it.
    """
    file = Path(path)
    try:
        raw = read_yaml(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        near = difflib.get_close_matches(file.name, [p.name for p in file.parent.glob("*.yaml")], 1)
        raise UserError(f"{kind} {path}: no such file{_meant(near)}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{kind} {path}: cannot be read ({type(error).__name__})") from None
    except BadYaml as error:
        raise UserError(f"{kind} {path}{error.place}: cannot be read as YAML ({error})") from None
    if not isinstance(raw, dict):
        raise UserError(f"{kind} {path}: holds no settings; it must be a YAML mapping with at least {needs}")
    for text in overrides:
        override(raw, text, example)
    return raw


def parse_settings(kind: str, raw: dict[str, Any], origin: str, model: type[Settings]) -> Settings:
    """Check ``raw`` against a model.

    Args:
        kind: what the settings are of, for messages.
        raw: the settings, as YAML has them.
        origin: where they are from, for messages.
        model: what they must be.

    Raises:
        UserError: in one line, what is wrong and how to mend it.
    """
    if problem := _unheld(raw, "", ()):
        raise UserError(f"{kind} {origin}: {problem}")
    try:
        settings = model.model_validate(_floats(raw, model))
    except ValidationError as error:
        raise UserError(f"{kind} {origin}: {_explain(error, model)}") from None
    for text in _strings(settings.model_dump()):
        if _CREDENTIALS.search(text):
            raise UserError(f"{kind} {origin}: a URL carries credentials; give them by environment variables instead")
    return settings


def _unheld(value: Any, key: str, within: tuple[int, ...]) -> str | None:
    """Return the first key whose value JSON cannot hold, and what to write instead: YAML knows dates, sets, bytes and loops."""
    if isinstance(value, (dict, list, tuple)):
        if id(value) in within:
            return f"{key}: holds itself by an anchor; write it out"
        for step, item in value.items() if isinstance(value, dict) else enumerate(value):
            inner = f"{key}.{step}" if key else str(step)
            if isinstance(value, dict) and not isinstance(step, str):
                return f"{inner}: the key {step!r} is no text; quote it"
            if problem := _unheld(item, inner, (*within, id(value))):
                return problem
        return None
    words = _UNHELD.get(type(value))
    if isinstance(value, float) and not math.isfinite(value):
        words = "it is no finite number"
    elif isinstance(value, str) and any("\ud800" <= letter <= "\udfff" for letter in value):
        words = "it holds half of a character; write the whole"
    if words is None:
        return None
    shown = "***" if _SECRET.search(key) else ascii(value)[:60]
    return f"{key}: {shown} will not do: {words}"


_UNHELD: dict[type, str] = {
    datetime.date: "YAML reads it as a date; quote it",
    datetime.datetime: "YAML reads it as a time; quote it",
    set: "YAML reads it as a set; write a list, [..., ...]",
    bytes: "YAML reads it as bytes; write text",
}
"""Kinds of values that YAML knows and JSON does not."""


def _strings(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for item in value.values() for text in _strings(item)]
    if isinstance(value, (list, tuple)):
        return [text for item in value for text in _strings(item)]
    return [value] if isinstance(value, str) else []


def override(raw: dict[str, Any], text: str, example: str) -> None:
    """Lay ``a.b=c`` over settings, in place; UserError says what is wrong with it, with an ``example`` of the form."""
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise UserError(f"--set {text}: must read a.b=c, e.g. --set {example}")
    try:
        parsed = read_yaml(value)
    except BadYaml:
        raise UserError(f"--set {text}: the value is not YAML; quote it") from None
    *parents, last = key.split(".")
    here: Any = raw
    for step in parents:
        if isinstance(here, list) and not (step.isdigit() and int(step) < len(here)):
            raise UserError(
                f"--set {text}: the list before {step!r} has {len(here)} entries; name one by its number from 0"
            )
        here = here[int(step)] if isinstance(here, list) else here.setdefault(step, {})
        if not isinstance(here, (dict, list)):
            raise UserError(f"--set {text}: {step!r} holds a value, not a section; check the key {key!r}")
    if isinstance(here, list):
        if not last.isdigit() or int(last) >= len(here):
            raise UserError(
                f"--set {text}: {'.'.join(parents)} is a list of {len(here)}; name an entry by its number from 0"
            )
        here[int(last)] = parsed
    else:
        here[last] = parsed


def _floats(raw: Any, model: type[BaseModel]) -> Any:
    """Turn whole numbers into floats where the model wants seconds or decibels: ``10`` is a fine way to write 10.0."""
    if not isinstance(raw, dict):
        return raw
    out = dict(raw)
    for name, field in model.model_fields.items():
        if name not in out:
            continue
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            out[name] = _floats(out[name], kind)
        elif kind is float and isinstance(out[name], int) and not isinstance(out[name], bool):
            out[name] = float(out[name])
    return out


_MENDS = {
    "tuple_type": "write a list such as [low, high]",
    "too_long": "write two numbers, [low, high]",
    "list_type": "write a list, [..., ...]",
    "dict_type": "write settings, {key: value}",
    "model_type": "write settings, {key: value}, or set one of them with a.b=c",
    "model_attributes_type": "write settings, {key: value}, or set one of them with a.b=c",
    "string_pattern_mismatch": "use letters, digits and _ only",
}
"""Our words where pydantic's speak of its own types."""


_PATTERNS = {
    "base_url": "write a URL that begins with http:// or https://",
    "key_env": "write the name of an environment variable, in capitals, not the key itself",
    "responses": "write a whole path, or a URL",
    "language": "write an ISO 639 code such as en",
}
"""Likewise where a setting's form is one of its own."""


def _explain(error: ValidationError, model: type[BaseModel]) -> str:
    """Return the first thing wrong: key, value, mend."""
    # A misspelt key is also a missing one; the misspelling is what helps.
    problem = min(error.errors(include_url=False), key=lambda found: found["type"] != "extra_forbidden")
    path = [str(step) for step in problem["loc"]]
    key = ".".join(path)
    shown = problem["input"]
    # A whole section may hold anything, so it is never shown; nor is what is, or is called like, a secret.
    value = "***" if _SECRET.search(f"{key} {shown}") or isinstance(shown, dict) else repr(shown)
    value = value if len(value) <= 60 else value[:57] + "..."
    if problem["type"] == "extra_forbidden":
        known = _keys_at(model, path[:-1])
        near = difflib.get_close_matches(path[-1], known, 1, 0.6)
        mend = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known)}"
        return f"{key}: unknown key (value {value}); {mend}"
    if problem["type"] == "missing":
        wanted = "write two numbers, [low, high]" if path[-1].isdigit() else "add it"
        return f"{key}: missing; {wanted}"
    words = _MENDS.get(problem["type"], problem["msg"].removeprefix("Value error, "))
    if not path:  # of the settings as a whole, and the words name the keys
        return words
    words = _PATTERNS.get(path[-1], words) if problem["type"] == "string_pattern_mismatch" else words
    return f"{key}: {value} will not do: {words}"


def _keys_at(whole: type[BaseModel], path: list[str]) -> list[str]:
    model: Any = whole
    for step in path:
        if step.isdigit() or step not in model.model_fields:  # a number in a list, or a name that the user gave
            continue
        annotation = model.model_fields[step].annotation
        inner = [
            kind
            for kind in getattr(annotation, "__args__", ())
            if isinstance(kind, type) and issubclass(kind, BaseModel)
        ]
        model = inner[0] if inner else annotation
    return list(model.model_fields)


def _meant(near: list[str]) -> str:
    return f"; did you mean {near[0]!r}?" if near else ""
