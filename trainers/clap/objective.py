"""A CLAP with its loss, as one module that ranks can share."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import ClapModel

from trainers.clap.negatives import no_negatives
from trainers.clips.ranks import gathered

STEEPEST = 50.0
"""Most that cosines are multiplied with; CLIP's bound is 100."""

LEFT_OUT = -1e4
"""A logit whose exponential is 0 beside any other's."""


class ClapObjective(nn.Module):
    """The symmetric InfoNCE over the batches of all ranks together.

    Args:
        clap: what is trained. The means and variances of its bands stay as they are.
        related: clips of equal, wider or narrower classes are negatives of one another, too.
    """

    def __init__(self, clap: ClapModel, related: bool) -> None:
        super().__init__()
        self.clap, self.related = clap, related
        # LAION's second scale, which no loss depends on; ranks would wait for its gradient.
        clap.logit_scale_t.requires_grad_(False)

    def forward(self, features: Tensor, ids: Tensor, mask: Tensor, words: Tensor) -> dict[str, Tensor]:
        """Return the loss ``contrast``, a scalar, of a :class:`trainers.clap.examples.CaptionedBatch`."""
        self.clap.audio_model.audio_encoder.batch_norm.eval()
        with torch.no_grad():
            self.clap.logit_scale_a.clamp_(max=math.log(STEEPEST))
        heard = self.clap.get_audio_features(input_features=features).pooler_output
        read = self.clap.get_text_features(input_ids=ids, attention_mask=mask).pooler_output
        heard, read = (gathered(functional.normalize(each.float(), dim=1)) for each in (heard, read))
        left_out = None if self.related else no_negatives(gathered(words))
        return {"contrast": contrast(heard @ read.T * self.clap.logit_scale_a.exp(), left_out)}


def contrast(logits: Tensor, left_out: Tensor | None = None) -> Tensor:
    """Return the mean of the cross-entropies of each clip over all captions, and of each caption over all clips.

    This is the loss of CLIP and CLAP (Radford et al. 2021, Wu et al. 2023), from whose denominators pairs are left out that are no
    negatives: the elimination of false negatives of Huynh et al. (WACV 2022), which here are told by the ontology, not found.

    Args:
        logits: scaled similarities of clip and caption, shape (n, n); those that belong together are on the diagonal.
        left_out: pairs that stand in no denominator, bool, shape (n, n), False on the diagonal; None: none.
    """
    if left_out is not None:
        logits = logits.masked_fill(left_out, LEFT_OUT)
    own = torch.arange(len(logits), device=logits.device)
    return (functional.cross_entropy(logits, own) + functional.cross_entropy(logits.T, own)) / 2.0
