"""What a recipe of a training says of its separator and of the queries that it is asked by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from schemas.recipe import ModelChoice
from schemas.section import Section

if TYPE_CHECKING:
    from trainers.lass.resunet import Separator

Share = Annotated[float, Field(ge=0, le=1)]


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


def build(config: SeparatorConfig) -> Separator:
    """Return a new separator on the CPU, in training mode, with weights from torch's global random numbers."""
    # Reading a recipe need not load torch.
    from trainers.lass.resunet import Separator
    from trainers.lass.sizes import SIZES

    return Separator(SIZES[config.size], config.sample_rate, config.embedding, config.guided)
