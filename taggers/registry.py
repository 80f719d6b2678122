"""The models by name: Earloom's own and those of installed packages, found as entry points and imported when asked for."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

from pydantic import ValidationError

from schemas.errors import UserError
from taggers.base import Embedder, Listener, Model
from taggers.chat import Chat

GROUP = "earloom.listeners"

Kind = TypeVar("Kind", bound=Model)


class UnknownModel(LookupError):
    """No model has this name, or it is not of the kind that was asked for; the message says what is known or near."""


class MissingExtra(ImportError):
    """The model exists, but its libraries are not installed; the message says which extra brings them."""


class BadSettings(ValueError):
    """A setting is unknown or will not do; the message names it and the mend."""


# Built-ins are entry points too, so that a user's package and this one are loaded by the same lines. One that
# needs more than the core writes the extra that brings it in brackets: "module:Class [extra]".
BUILT_IN: tuple[EntryPoint, ...] = (
    EntryPoint("facts", "taggers.descriptors:FactsListener", GROUP),
    EntryPoint("signal", "taggers.signal:SignalListener", GROUP),
    EntryPoint("demo_tagger", "taggers.demo_tagger:DemoTagger [models]", GROUP),
    EntryPoint("trained_tagger", "taggers.demo_tagger:TrainedTagger [models]", GROUP),
    EntryPoint("demo_clap", "taggers.clap_transformers:DemoClap [models]", GROUP),
    EntryPoint("clap_transformers", "taggers.clap_transformers:TransformersClap [models]", GROUP),
    EntryPoint("clap_laion", "taggers.clap_laion:LaionClap [clap]", GROUP),
    EntryPoint("panns_tags", "taggers.panns:PannsTags [panns]", GROUP),
    EntryPoint("panns_events", "taggers.panns:PannsEvents [panns]", GROUP),
    EntryPoint("qwen2_audio", "taggers.qwen2_audio:Qwen2Audio [models]", GROUP),
)

_registered: dict[str, Callable[..., Model]] = {}


def register(name: str, factory: Callable[..., Model]) -> None:
    """Make a model known to this process, for a notebook or a test; workers find only entry points.

    Raises:
        ValueError: the name is taken.

    """
    if name in available():
        raise ValueError(f"a listener named {name!r} is already known")
    _registered[name] = factory


def available() -> list[str]:
    """Names that `create` knows, sorted; nothing is imported to tell."""
    return sorted({*_registered, *_installed()})


def create(name: str, kind: type[Kind], settings: Mapping[str, Any] | None = None) -> Kind:
    """Make a model, not yet loaded, importing its module only now.

    Args:
        name: the name.
        kind: `Listener`, `Embedder` or `Chat`.
        settings: what the recipe sets of it.

    Raises:
        UnknownModel: nothing of this kind has this name.
        MissingExtra: its libraries are not installed.
        BadSettings: a setting is unknown or will not do.
        MissingWeights: its weights are not where they are looked for.
        UserError: two packages declare the name, or it is none.
        TypeError: what the name leads to is no model.

    """
    factory = find(name)
    model = factory(*_settings(name, factory, settings or {}))
    if isinstance(model, kind):
        return model
    for other, key in ((Listener, "listeners"), (Embedder, "embedders"), (Chat, "chats")):
        if isinstance(model, other):
            raise UnknownModel(f"{name!r} is no {kind.__name__.lower()}; it belongs under listen.{key}")
    raise TypeError(f"{name!r} leads to {model!r}, which does not have the attributes of a {kind.__name__}")


def find(name: str) -> Callable[..., Model]:
    """Return the class of a model, importing its module only now; raises as `create` does."""
    if name in _registered:
        return _registered[name]
    points = _installed().get(name)
    if points:
        return _load(_the_one(points))
    near = difflib.get_close_matches(name, available(), n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(available())}"
    raise UnknownModel(f"no listener is named {name!r}; {hint}")


def extras(name: str) -> tuple[str, ...]:
    """Return the extras that a model needs; empty: the core is enough, or the name is not known."""
    points = _installed().get(name)
    return tuple(points[0].extras) if points else ()


def _settings(name: str, factory: Callable[..., Model], raw: Mapping[str, Any]) -> tuple[Any, ...]:
    kind = getattr(factory, "settings_type", None)
    fields = list(kind.model_fields) if kind else []
    if unknown := sorted(raw.keys() - set(fields)):
        known = f"known: {', '.join(fields)}" if fields else "it has none"
        raise BadSettings(f"{name!r} has no setting {unknown[0]!r}; {known}")
    if not kind or not fields:
        return ()
    try:
        return (kind.model_validate(dict(raw)),)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(step) for step in first["loc"])
        words = first["msg"].removeprefix("Value error, ")
        raise BadSettings(f"{name!r}, setting {key!r}: {first['input']!r} will not do: {words}") from None


def _installed() -> dict[str, list[EntryPoint]]:
    """Built-in and installed entry points by name; more than one where a name leads to several places."""
    found: dict[str, list[EntryPoint]] = {}
    for point in (*BUILT_IN, *entry_points(group=GROUP)):
        others = found.setdefault(point.name, [])
        if point.value not in [other.value for other in others]:
            others.append(point)
    return found


def _the_one(points: list[EntryPoint]) -> EntryPoint:
    """Return the entry point of a name; only who asks for the name has to hear that a package is at fault."""
    places = " and ".join(f"{_package(point)} ({point.value})" for point in points)
    if len(points) > 1:
        raise UserError(f"the model {points[0].name!r} is declared by {places}; uninstall all but one")
    if not re.fullmatch(r"[A-Za-z0-9_]+", points[0].name):
        raise UserError(
            f"{points[0].name!r}, declared by {places}, is no name: a model's has letters, digits and _ only"
        )
    return points[0]


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist else "earloom"


def _load(point: EntryPoint) -> Callable[..., Model]:
    try:
        return point.load()
    except ModuleNotFoundError as error:
        if not point.extras or error.name == point.module:
            raise
        extra = ",".join(point.extras)
        raise MissingExtra(
            f"listener {point.name!r} needs {error.name!r}: pip install '{_package(point)}[{extra}]'", name=error.name
        ) from error
