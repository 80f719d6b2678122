"""What every part of a recipe is made of: a strict model, and the kinds of values that several parts share."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Seconds = Annotated[float, Field(gt=0, le=3600)]
Decibels = Annotated[float, Field(ge=-120, le=120)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+$")]


class Section(BaseModel):
    """A part of a recipe; unknown keys are errors, and nothing is changed after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
