"""The measures as torchmetrics classes, for training loops: one pattern, a class per measure whose items are tensors.

A class collects the rows of its measure (see :mod:`trainers.measures.registry`), over processes too, and ``compute`` makes one
number of them: the mean of the finite values, or the pooled number. Captions and answers are no tensors, and have no class.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from trainers.measures.measure import Measure
from trainers.measures.registry import MEASURES


class Measured(Metric):
    """A registered measure; a subclass names it.

    ``update`` takes what the measure needs as keyword arguments, tensors on any device or arrays, shape (items, ...); what it does
    not need is ignored, so that many can be fed alike, as ``MetricCollection`` does. Rows are kept as float64 on the metric's
    device.
    """

    name: ClassVar[str]
    measure: ClassVar[Measure]
    is_differentiable = False
    full_state_update = False
    rows: Any

    def __init_subclass__(cls, name: str) -> None:
        """Take the measure of this name."""
        super().__init_subclass__()
        cls.name, cls.measure, cls.higher_is_better = name, MEASURES[name], MEASURES[name].higher_is_better

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.add_state("rows", default=[], dist_reduce_fx="cat")

    def update(self, **given: Any) -> None:
        """Add items. Raises KeyError where something is not given, and as the measure's function does."""
        needed = {need: given[need] if self.measure.on_device else _plain(given[need]) for need in self.measure.needs}
        made = self.measure.rows(needed)
        parts = made if isinstance(made, list) else [made]
        self.rows += [torch.as_tensor(part, dtype=torch.float64, device=self.device) for part in parts]

    def compute(self) -> Tensor:
        """Return the number of all items so far, float64, shape (); NaN where there is none."""
        if isinstance(self.rows, list) and not self.rows:
            return torch.tensor(float("nan"), dtype=torch.float64, device=self.device)
        rows = dim_zero_cat(self.rows).cpu().numpy()
        return torch.tensor(self.measure.value(rows), dtype=torch.float64, device=self.device)


def _plain(given: Any) -> Any:
    """Return tensors as numpy arrays, also those in a list; bfloat16, which numpy does not know, as float32."""
    if isinstance(given, list):
        return [_plain(each) for each in given]
    if not isinstance(given, Tensor):
        return given
    made = given.detach().cpu()
    return np.asarray(made.float() if made.dtype in (torch.bfloat16, torch.float16) else made)


class SDR(Measured, name="sdr"):
    """Plain SDR in dB."""


class SDRi(Measured, name="sdri"):
    """Plain SDR over the mixture's, in dB."""


class SISDR(Measured, name="si_sdr"):
    """SI-SDR of zero-mean signals, in dB."""


class SISDRi(Measured, name="si_sdri"):
    """SI-SDR over the mixture's, in dB."""


class BSSSDR(Measured, name="bss_sdr"):
    """BSS Eval's SDR, in dB."""


class BSSSIR(Measured, name="bss_sir"):
    """BSS Eval's SIR, in dB."""


class BSSSAR(Measured, name="bss_sar"):
    """BSS Eval's SAR, in dB."""


class Suppression(Measured, name="suppression"):
    """Energy suppression where the target is silent, in dB."""


class LSD(Measured, name="lsd"):
    """Log-spectral distance in dB, silence-safe."""


class LSDOfSSREval(Measured, name="lsd_ssr_eval"):
    """LSD as ssr_eval reckons it."""


class LSDOfAudioLDMEval(Measured, name="lsd_audioldm_eval"):
    """LSD as audioldm_eval reckons it."""


class PSNROfAudioLDMEval(Measured, name="psnr_audioldm_eval"):
    """PSNR of mel pictures as audioldm_eval reckons it, in dB."""


class KLSoftmax(Measured, name="kl_softmax"):
    """KL of the softmax of a tagger's logits, in nats."""


class KLSigmoid(Measured, name="kl_sigmoid"):
    """audioldm_eval's KL_Sigmoid, in nats."""


class FAD(Measured, name="fad"):
    """Frechet audio distance."""


class FADEndless(Measured, name="fad_endless"):
    """Frechet audio distance of endless sets, by extrapolation."""


class CLAPScore(Measured, name="clap_score"):
    """Cosine of sound and query."""


class CLAPScoreAudio(Measured, name="clap_score_audio"):
    """Cosine of sound and reference."""


class RecallAt1(Measured, name="recall_at_1"):
    """Share of the queries whose first item is one that they ask for."""


class RecallAt5(Measured, name="recall_at_5"):
    """Share of the queries that find what they ask for among the first five."""


class RecallAt10(Measured, name="recall_at_10"):
    """Share of the queries that find what they ask for among the first ten."""


class MeanRank(Measured, name="mean_rank"):
    """Mean rank of what is asked for."""


class MeanAveragePrecision(Measured, name="map"):
    """Macro-average of average precisions."""
