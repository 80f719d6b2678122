"""What all configurations of trainings hold; where and on how many devices a training runs is on the command line."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from schemas.section import Name, Section

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


class Training(Section):
    """What a training of any task says; each task's own settings lie in its room.

    Attributes:
        task: a name out of :data:`trainers.fit.tasks.TASKS`.
    """

    task: str
    name: Name
    seed: int = Field(0, ge=0)
    fit: Fit
