"""The configuration of a training: a YAML file that determines it; where and on how many devices it runs is on the command line."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from schemas.section import Name, Seconds, Section
from trainers.lass.config import QueriesConfig, SeparatorConfig

Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]


class WarmUp(Section):
    """How the learning rate begins; see ``trainers.fit.schedule.warm_up``."""

    shape: Literal["stairs", "linear"] = "linear"
    steps: int = Field(1000, ge=0, description="of one stair, or of the whole slope; 0: no warm-up")


class Fit(Section):
    """The loop, whatever is trained."""

    steps: Count = Field(description="of the optimiser, in all")
    batch: Count = Field(16, description="samples of a step, over all devices together")
    rate: float = Field(1e-3, gt=0, description="learning rate of AdamW after the warm-up")
    weight_decay: float = Field(0.01, ge=0, description="of AdamW")
    warm_up: WarmUp = WarmUp()
    clip: float = Field(
        1.0, gt=0, description="longest gradient, the 2-norm over all weights; longer ones are shortened"
    )
    average: float = Field(0.999, ge=0, lt=1, description="decay of the weights' moving average; 0: the latest weights")
    bf16: bool = Field(
        True, description="bfloat16 forward passes where the device is made for them; weights stay float32"
    )
    log_every: Count = Field(50, description="steps between two lines of the history")
    save_every: Count = Field(500, description="steps between two checkpoints")
    judge_every: Count = Field(500, description="steps between two judgements on held-out data")


class Data(Section):
    """Mixtures to train on, and held-out ones."""

    folders: list[str] = Field(min_length=1, description="dataset folders and run folders, of one length and rate")
    held_out: list[str] | None = Field(None, min_length=1, description="folders of held-out mixtures; null: the same")
    set: Name = Field("mix", description="name of the set of mixtures")
    split: Name = Field("train", description="split to train on")
    held_out_split: Name = Field("val", description="split to judge on")
    held_out_mixtures: Count = Field(200, description="so many held-out mixtures at most, drawn by the seed")
    sounds: int = Field(3, ge=0, le=100, description="held-out mixtures that are kept to listen to")
    crop_s: Seconds | None = Field(None, description="seconds of a random excerpt to train on; null: whole mixtures")


class Training(Section):
    """A training of a separator."""

    name: Name
    seed: int = Field(0, ge=0)
    data: Data
    separator: SeparatorConfig = SeparatorConfig()
    queries: QueriesConfig = QueriesConfig()
    loss: Literal["l1", "si_sdr"] = Field("l1", description="of waveforms: l1 is AudioSep's")
    removal: Share = Field(0.0, description="share of the steps' samples that ask for all but the target")
    fit: Fit
