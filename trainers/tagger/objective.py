"""A tagger with its losses, as one module that ranks can share."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from taggers.crnn import Crnn
from trainers.clips.ranks import mean_over_ranks


class TaggerObjective(nn.Module):
    """The mean binary cross-entropies of what is known of whole clips, and of what is known of frames.

    The means are over all that is known to any rank.

    Args:
        tagger: what is trained.
    """

    def __init__(self, tagger: Crnn) -> None:
        super().__init__()
        self.tagger = tagger

    def forward(
        self, powers: Tensor, mask: Tensor, holds: Tensor, known: Tensor, heard: Tensor, timed: Tensor
    ) -> dict[str, Tensor]:
        """Return the losses ``clips`` and ``frames``, scalars, of a :class:`trainers.tagger.examples.LabelledBatch`."""
        frames, wholes = self.tagger(powers, mask)
        return {
            "clips": mean_cross_entropy(wholes, holds, known),
            "frames": mean_cross_entropy(frames, heard, mask[:, :, None] & timed[:, None]),
        }


def mean_cross_entropy(logits: Tensor, truth: Tensor, known: Tensor) -> Tensor:
    """Return the mean binary cross-entropy where ``known``, whose count is the ranks' mean; 0 where nothing is."""
    losses = functional.binary_cross_entropy_with_logits(logits.float(), truth.float(), reduction="none")
    return (losses * known).sum() / mean_over_ranks(known.sum().float()).clamp_min(1.0)
