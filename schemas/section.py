"""What every part of a recipe is made of: a strict model, and the kinds of values that several parts share."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Seconds = Annotated[float, Field(gt=0, le=3600)]
Decibels = Annotated[float, Field(ge=-120, le=120)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+$")]


class Section(BaseModel):
    """A part of a recipe; unknown keys are errors, and nothing is changed after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def pairs_as_floats(value: Any, *names: str) -> Any:
    """Return settings in which the lists of these names are tuples of floats: ``[-15, 15]`` is a fine way to write them."""
    if not isinstance(value, dict):
        return value
    out = dict(value)
    for name in names:
        if isinstance(out.get(name), (list, tuple)):
            out[name] = tuple(float(x) if isinstance(x, int) and not isinstance(x, bool) else x for x in out[name])
    return out


def each_once(values: list[str]) -> list[str]:
    """Return a list of names as it is; ValueError where one stands twice."""
    for name in values:
        if values.count(name) > 1:
            raise ValueError(f"{name!r} stands twice; name each once")
    return values
