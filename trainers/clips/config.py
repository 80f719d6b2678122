"""What a configuration says of the captioned clips that a training learns from and is judged on."""

from __future__ import annotations

from pydantic import Field

from schemas.section import Name, Section
from trainers.fit.config import Count


class ClipData(Section):
    """Captioned clips to train on, and held-out ones."""

    folders: list[str] = Field(
        min_length=1, description="folders of caption shards, and of finished runs that have such"
    )
    held_out: list[str] | None = Field(None, min_length=1, description="folders of held-out clips; null: the same")
    split: Name = Field("train", description="split to train on")
    held_out_split: Name = Field("val", description="split to judge on")
    held_out_clips: Count = Field(2000, description="so many held-out clips at most, drawn by the seed")
    sounds: int = Field(3, ge=0, le=100, description="held-out clips that are kept to listen to")
