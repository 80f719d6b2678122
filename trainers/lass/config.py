"""The configuration of a separator's training: mixtures, separator, the queries that it is asked by, and its losses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from schemas.recipe import ModelChoice
from schemas.section import Name, Seconds, Section
from trainers.fit.config import Count, Share, Training

if TYPE_CHECKING:
    from trainers.lass.resunet import Separator


class SeparatorConfig(Section):
    """A separator. The same configuration and the same state of torch's random numbers give the same weights."""

    size: Literal["tiny", "small", "resunet30"] = Field(
        "tiny", description="tiny: for a CPU; resunet30: AudioSep's; small: half its channels"
    )
    sample_rate: int = Field(16000, ge=4000, le=192000, description="samples per second of what it separates")
    embedding: int = Field(512, ge=1, le=8192, description="length of a query's embedding; CLAP's is 512")
    guided: bool = Field(
        False, description="true: the target's audio embedding is predicted first, as in Hybrid-Sep's first stage"
    )


class QueriesConfig(Section):
    """Where the embeddings come from that a separator is asked by."""

    embedder: ModelChoice | None = Field(
        None, description="model of taggers/ that embeds queries; null: `query.npy` and `target.npy` of the samples"
    )
    text: Share = Field(1.0, description="share of the queries that are words; the others are the target's own sound")


class MixtureData(Section):
    """Mixtures to train on, and held-out ones."""

    folders: list[str] = Field(min_length=1, description="dataset folders and run folders, of one length and rate")
    held_out: list[str] | None = Field(None, min_length=1, description="folders of held-out mixtures; null: the same")
    set: Name = Field("mix", description="name of the set of mixtures")
    split: Name = Field("train", description="split to train on")
    held_out_set: Name | None = Field(None, description="set of the held-out mixtures; null: the same")
    held_out_split: Name = Field("val", description="split to judge on")
    held_out_mixtures: Count = Field(200, description="so many held-out mixtures at most, drawn by the seed")
    sounds: int = Field(3, ge=0, le=100, description="held-out mixtures that are kept to listen to")
    crop_s: Seconds | None = Field(None, description="seconds of a random excerpt to train on; null: whole mixtures")


class SeparatorTraining(Training):
    """A training of a separator."""

    task: Literal["separation"]
    data: MixtureData
    separator: SeparatorConfig = SeparatorConfig()
    queries: QueriesConfig = QueriesConfig()
    loss: Literal["l1", "si_sdr"] = Field("l1", description="of waveforms: l1 is AudioSep's")
    removal: Share = Field(0.0, description="share of the steps' samples that ask for all but the target")


def build(config: SeparatorConfig) -> Separator:
    """Return a new separator on the CPU, in training mode, with weights from torch's global random numbers."""
    # Reading a recipe need not load torch.
    from trainers.lass.resunet import Separator
    from trainers.lass.sizes import SIZES

    return Separator(SIZES[config.size], config.sample_rate, config.embedding, config.guided)
