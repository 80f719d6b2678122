"""What training makes small: the loss of the answers and, of a guided separator, that of the embeddings which it predicts."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from trainers.lass.losses import embedding_l1, losses
from trainers.lass.resunet import Separator


class Objective(nn.Module):
    """A separator with its losses as one module: called as one, every weight has its gradient, which is what ranks share.

    Attributes:
        separator: what is trained.
    """

    def __init__(self, separator: Separator, loss: Literal["l1", "si_sdr"]) -> None:
        super().__init__()
        self.separator, self._loss = separator, losses(loss)

    def forward(
        self, mixture: Tensor, condition: Tensor, task: Tensor, answer: Tensor, wanted: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Return the losses by name, ``answer`` and, where there is a guide, ``embedding``; their sum is what is made small.

        The two have no weight in common, and AdamW does not see by what a gradient is multiplied: their sum needs no factors.

        Args:
            mixture: float32, shape (B, T).
            condition: float32, shape (B, E): the queries' embeddings.
            task: int64, shape (B,).
            answer: float32, shape (B, T): what is to be answered, `trainers.lass.tasks.answers`.
            wanted: float32, shape (B, E): the targets' audio embeddings, NaN where unknown; asked for where there is a guide.

        Raises:
            ValueError: the separator is guided and nothing is ``wanted``.
        """
        estimate, predicted = self.separator.guided(mixture, condition, task)
        found = {"answer": self._loss(estimate, answer)}
        if predicted is not None:
            if wanted is None:
                raise ValueError("a guided separator learns from the targets' audio embeddings; give them as `wanted`")
            found["embedding"] = embedding_l1(predicted, wanted)
        return found
