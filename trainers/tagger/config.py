"""The configuration of a tagger's training."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from trainers.clips.config import ClipData
from trainers.fit.config import Count, Share, Training


class TaggerTraining(Training):
    """A training of a framewise tagger."""

    task: Literal["tagging"]
    data: ClipData
    least: Count = Field(8, description="labelled clips that a class needs in training to be one of the tagger's")
    overlaid: Share = Field(0.5, description="share of the examples that are two clips, one over or after the other")
