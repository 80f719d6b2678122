"""Every measure by name: its variant, unit, direction and source, and what it is made of. Tables and ``earloom evaluate`` read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from trainers.measures import captions, frechet, posteriors, retrieval, separation, spectral, tagging
from trainers.measures.answers import answer_similarity
from trainers.measures.clap_scores import clap_score, clap_score_audio
from trainers.measures.measure import Floats, Measure, Rows
from trainers.measures.suppression import suppression

NEEDS = {
    "estimate": "separated samples, shape (items, T)",
    "reference": "samples of the true source, same shape",
    "mixture": "samples that were to be separated, same shape",
    "rate": "Hz of all samples",
    "estimate_posteriors": "a listener's posteriors of the estimates, shape (items, classes): posteriors.posteriors",
    "reference_posteriors": "those of the true sources, same shape",
    "estimate_windows": "an embedder's windows of each estimate, shape (windows, d) each: clap_scores.windows_of",
    "reference_windows": "those of each true source",
    "query_embeddings": "the embedder's embeddings of the queries, shape (items, d)",
    "estimate_answers": "what a model said of each estimate, or None: answers.answers",
    "reference_answers": "what it said of each true source",
    "candidates": "captions to judge",
    "references": "of each caption, those that people wrote",
    "similarities": "of each query with all items, shape (queries, items)",
    "relevant": "whether a query asks for an item, same shape",
    "scores": "of each item and class, shape (items, classes)",
    "truth": "whether an item has a class, same shape",
}
"""What measures are made of."""

MADE_BY = {"estimate_posteriors": "listener", "estimate_windows": "embedder", "estimate_answers": "model"}
"""What a measure is made of -> the kind of model that made it, without whose name the number says nothing."""


def _recalled(most: int, similarities: ArrayLike, relevant: ArrayLike) -> Floats:
    return (retrieval.ranks(similarities, relevant) <= most).astype(np.float64)


def _ranks(similarities: ArrayLike, relevant: ArrayLike) -> Floats:
    return retrieval.ranks(similarities, relevant).astype(np.float64)


def _scored(scores: ArrayLike, truth: ArrayLike) -> Floats:
    return np.stack([np.asarray(scores, dtype=np.float64), np.asarray(truth, dtype=np.float64)], axis=1)


def _map(rows: Floats) -> float:
    return tagging.mean_average_precision(rows[:, 0], rows[:, 1])


_ONE, _MIXED = ("estimate", "reference"), ("estimate", "reference", "mixture")
_TIMED, _TAGGED = (*_ONE, "rate"), ("estimate_posteriors", "reference_posteriors")
_HEARD, _SAID = ("estimate_windows", "reference_windows"), ("estimate_answers", "reference_answers")
_TOLD, _FOUND = ("candidates", "references"), ("similarities", "relevant")
_PLAIN, _ROUX, _VINCENT = "AudioSep; DCASE 2024 task 9", "Le Roux et al., ICASSP 2019", "Vincent et al., 2006; CLAPSep"
_TAPS = "BSS Eval 3, 512 taps, the rest of the mixture being the other source"
_UNIT = "of embeddings of unit length"

MEASURES: dict[str, Measure] = {
    "sdr": Measure("SDR", "plain SNR", "dB", True, separation.sdr, _ONE, _PLAIN, on_device=True),
    "sdri": Measure(
        title="SDRi",
        variant="plain SNR over the mixture's",
        unit="dB",
        higher_is_better=True,
        function=separation.sdr_improvement,
        needs=_MIXED,
        source=_PLAIN,
        on_device=True,
    ),
    "si_sdr": Measure("SI-SDR", "of zero-mean signals", "dB", True, separation.si_sdr, _ONE, _ROUX, on_device=True),
    "si_sdri": Measure(
        title="SI-SDRi",
        variant="of zero-mean signals, over the mixture's",
        unit="dB",
        higher_is_better=True,
        function=separation.si_sdr_improvement,
        needs=_MIXED,
        source=_ROUX,
        on_device=True,
    ),
    "bss_sdr": Measure("BSS SDR", _TAPS, "dB", True, separation.bss_eval, _MIXED, _VINCENT, column=0),
    "bss_sir": Measure("BSS SIR", _TAPS, "dB", True, separation.bss_eval, _MIXED, _VINCENT, column=1),
    "bss_sar": Measure("BSS SAR", _TAPS, "dB", True, separation.bss_eval, _MIXED, _VINCENT, column=2),
    "suppression": Measure(
        title="suppression",
        variant="frames of 100 ms in which the target lies 40 dB below the mixture",
        unit="dB",
        higher_is_better=True,
        function=suppression,
        needs=(*_MIXED, "rate"),
        source="Earloom",
        on_device=True,
    ),
    "lsd": Measure(
        title="LSD",
        variant="power in dB, floor 80 dB below the reference's loudest bin, 46.4 ms every 10 ms",
        unit="dB",
        higher_is_better=False,
        function=spectral.lsd,
        needs=_TIMED,
        source="Earloom, after Gray and Markel, 1976",
        on_device=True,
    ),
    "lsd_ssr_eval": Measure(
        title="LSD (ssr_eval)",
        variant="log10 of power, 1e-12 added, of signals divided by their peaks",
        unit="log10",
        higher_is_better=False,
        function=spectral.lsd_ssr_eval,
        needs=_TIMED,
        source="Liu et al., Interspeech 2022",
        on_device=True,
    ),
    "lsd_audioldm_eval": Measure(
        title="LSD (audioldm_eval)",
        variant="that of ssr_eval, of the estimate without its first 1,120 samples",
        unit="log10",
        higher_is_better=False,
        function=spectral.lsd_audioldm_eval,
        needs=_TIMED,
        source="audioldm_eval; HSM-TSS",
        on_device=True,
    ),
    "psnr_audioldm_eval": Measure(
        title="PSNR (audioldm_eval)",
        variant="of pictures in [0, 1] of 64 log-mel bands, at 16 or 32 kHz",
        unit="dB",
        higher_is_better=True,
        function=spectral.psnr_audioldm_eval,
        needs=_TIMED,
        source="audioldm_eval; HSM-TSS",
        on_device=True,
    ),
    "kl_softmax": Measure(
        title="KL (softmax)",
        variant="KL(reference | estimate) of the softmax of logits, 1e-6 added to the estimate's",
        unit="nats",
        higher_is_better=False,
        function=posteriors.kl_softmax,
        needs=_TAGGED,
        source="audioldm_eval; HSM-TSS",
    ),
    "kl_sigmoid": Measure(
        title="KL (sigmoid)",
        variant="the terms of presence alone, 1e-6 added to the estimate's",
        unit="nats",
        higher_is_better=False,
        function=posteriors.kl_sigmoid,
        needs=_TAGGED,
        source="audioldm_eval",
    ),
    "fad": Measure(
        title="FAD",
        variant=f"{_UNIT}, at this N",
        unit="",
        higher_is_better=False,
        function=frechet.pairs,
        needs=_HEARD,
        source="Kilgour et al., Interspeech 2019",
        pool=frechet.of_pairs,
        pivot=frechet.of_pairs,
        enough=frechet.enough,
        detail=frechet.size_of_pairs,
    ),
    "fad_endless": Measure(
        title="FAD∞",
        variant=f"{_UNIT}, a line over 1/N from half of N to N, clips drawn with their references",
        unit="",
        higher_is_better=False,
        function=frechet.pairs,
        needs=_HEARD,
        source="after Gui et al., ICASSP 2024",
        pool=frechet.endless_of_pairs,
        pivot=frechet.of_pairs,
        enough=frechet.enough,
        detail=frechet.size_of_pairs,
    ),
    "clap_score": Measure(
        title="CLAPScore",
        variant="cosine of sound and query, windows averaged",
        unit="",
        higher_is_better=True,
        function=clap_score,
        needs=("estimate_windows", "query_embeddings"),
        source="Xiao et al., 2024",
    ),
    "clap_score_audio": Measure(
        "CLAPScore_A",
        "cosine of sound and reference, windows averaged",
        "",
        True,
        clap_score_audio,
        _HEARD,
        "Hybrid-Sep",
    ),
    "answer_similarity": Measure(
        title="similarity of answers",
        variant="cosine of MiniLM embeddings of what a model says of estimate and reference",
        unit="",
        higher_is_better=True,
        function=answer_similarity,
        needs=_SAID,
        source="Earloom, after HSM-TSS' AFSim",
    ),
    "bleu": Measure(
        title="BLEU-4",
        variant="of the corpus, nearest reference's length, PTB tokens",
        unit="",
        higher_is_better=True,
        function=captions.bleu_counts,
        needs=_TOLD,
        source="Papineni et al., ACL 2002",
        pool=captions.bleu,
    ),
    "meteor": Measure(
        title="METEOR",
        variant="1.5, English, normalised, of the corpus, PTB tokens",
        unit="",
        higher_is_better=True,
        function=captions.meteor_counts,
        needs=_TOLD,
        source="Denkowski and Lavie, 2014",
        pool=captions.meteor,
    ),
    "cider": Measure(
        title="CIDEr-D",
        variant="sigma 6, times 10, document frequencies of the set's references, PTB tokens",
        unit="",
        higher_is_better=True,
        function=captions.cider,
        needs=_TOLD,
        source="Vedantam et al., CVPR 2015",
        whole=True,
    ),
    "spice": Measure("SPICE", "1.0, F1 of scene graphs", "", True, captions.spice, _TOLD, "Anderson et al., ECCV 2016"),
    "spider": Measure(
        title="SPIDEr",
        variant="mean of CIDEr-D and SPICE",
        unit="",
        higher_is_better=True,
        function=captions.spider,
        needs=_TOLD,
        source="Liu et al., ICCV 2017",
        whole=True,
    ),
    "recall_at_1": Measure("R@1", "ties count against", "", True, partial(_recalled, 1), _FOUND, "common"),
    "recall_at_5": Measure("R@5", "ties count against", "", True, partial(_recalled, 5), _FOUND, "common"),
    "recall_at_10": Measure("R@10", "ties count against", "", True, partial(_recalled, 10), _FOUND, "common"),
    "mean_rank": Measure("mean rank", "the first is 1, ties count against", "", False, _ranks, _FOUND, "common"),
    "map": Measure(
        title="mAP",
        variant="mean over classes of non-interpolated average precisions",
        unit="",
        higher_is_better=True,
        function=_scored,
        needs=("scores", "truth"),
        source="AudioSet; scikit-learn",
        pool=_map,
    ),
}
"""Name -> measure, in the order of tables."""


def rows_of(names: Sequence[str], given: Mapping[str, Any]) -> dict[str, Rows]:
    """Return the rows of several measures; a function that serves more than one is called once.

    Args:
        names: of measures.
        given: what they need, by the names of :data:`NEEDS`; more is ignored.

    Raises:
        KeyError: a name is not registered, or something that a measure needs is not given.
    """
    made: dict[tuple[Any, tuple[str, ...]], Rows] = {}
    for measure in (MEASURES[name] for name in names):
        key = (measure.function, measure.needs)
        if key not in made:
            made[key] = measure.function(**{need: given[need] for need in measure.needs})
    return {name: MEASURES[name].own(made[MEASURES[name].function, MEASURES[name].needs]) for name in names}


def variant_of(name: str, makers: Mapping[str, str]) -> str:
    """Return a measure's variant, with the model that it hears through.

    Args:
        name: of the measure.
        makers: kind of model, as in :data:`MADE_BY` -> its name and revision, e.g. ``{"embedder": "clap_laion-1-0123456789ab-01234567"}``.

    Raises:
        KeyError: the name is not registered, or the measure hears through a model of a kind that is not given.
    """
    measure = MEASURES[name]
    kinds = [MADE_BY[need] for need in measure.needs if need in MADE_BY]
    return "; ".join([measure.variant, *(f"{kind} {makers[kind]}" for kind in kinds)])
