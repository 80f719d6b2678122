"""The configuration of a CLAP's training."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from schemas.section import Section
from trainers.clips.config import ClipData
from trainers.fit.config import Share, Training


class Negatives(Section):
    """What a clip's caption is held against."""

    related: bool = Field(
        False, description="true: also against clips whose classes are equal to, above or below its own, as CLIP does"
    )
    hard: Share = Field(
        0.0,
        description="share of the clips that are put into a batch with one that sounds alike: confusable.csv and siblings",
    )


class ClapTraining(Training):
    """A training of a CLAP."""

    task: Literal["clap"]
    data: ClipData
    negatives: Negatives = Negatives()
    joined: Share = Field(
        0.3, description="share of the clips of one class that are heard with another one, over it or after it"
    )
