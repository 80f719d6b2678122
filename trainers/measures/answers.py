"""Similarity of answers: an audio-language model says what it hears in the estimate and in the reference; how alike is what it says?

Like AFSim, for which HSM-TSS asks Audio Flamingo; whose questions and text encoder are not published, so the numbers are of ours
alone. Higher is better; the cosine of two sentence embeddings, in [-1, 1]. Name the model that answered beside the number.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import partial

import numpy as np
import soundfile
import soxr
from numpy.typing import ArrayLike, NDArray

from pipelines.core.workspace import Workspace
from pipelines.llm.chat import Chat
from pipelines.llm.client import Client
from pipelines.llm.request import Media, Message
from pipelines.llm.service import Service, service
from pipelines.llm.transport import check_client
from schemas.endpoints import Endpoint
from schemas.errors import Reject
from taggers.sentences import loaded

Floats = NDArray[np.float64]

QUESTION = "Describe the sounds in this recording in one sentence, without guessing what cannot be heard."

SENT_RATE = 16000
"""Hz of what is sent, as WAV of 16 bits."""


def answers(
    sounds: ArrayLike, rate: int, name: str, endpoint: Endpoint, folder: str, through: Service | None = None
) -> list[str | None]:
    """Return what a model behind an endpoint says of each sound; None of one that it cannot be had of, or that it declines.

    Each sound is asked about once and for all: the answers are kept in ``folder``, by what was sent, so that a reference
    is paid once however many systems are measured against it. A sound that is not finite is not sent.

    Args:
        sounds: samples, shape (sounds, T); what passes full scale is clipped.
        rate: Hz.
        name: what the endpoint is called in faults.
        endpoint: who answers.
        folder: where the responses are kept, under ``llm/``.
        through: the service that asks; by default the process's.

    Raises:
        UserError: the environment has no key, or the client is not installed.
        RunStopped: the endpoint answers nobody, or the budget is spent.
    """
    check_client(name)
    signals = list(np.asarray(sounds, dtype=np.float64))
    asks = through or service()
    client = asks.open(name, endpoint, Workspace(folder))
    finite = [bool(np.isfinite(signal).all() and len(signal)) for signal in signals]
    media = [_media(signal, rate) for signal, fine in zip(signals, finite, strict=True) if fine]
    found = iter(asks.start(client, [partial(_ask, client, sound) for sound in media]).results())
    outcomes = [next(found) if fine else None for fine in finite]
    return [None if isinstance(outcome, Reject) else outcome for outcome in outcomes]


def answer_similarity(estimate_answers: Sequence[str | None], reference_answers: Sequence[str | None]) -> Floats:
    """Return how alike two answers are, the cosine of their sentence embeddings (all-MiniLM-L6-v2), in [-1, 1], higher is better.

    Args:
        estimate_answers: what was said of the estimates; None: nothing.
        reference_answers: what was said of the true sources, as many.

    Returns:
        Shape (sounds,); NaN where either is None: unknown is not unlike.

    Raises:
        ValueError: there are not equally many.
        UserError: the extra ``text`` is not installed.
    """
    if len(estimate_answers) != len(reference_answers):
        raise ValueError(f"{len(estimate_answers)} answers to {len(reference_answers)} of references")
    both = list(zip(estimate_answers, reference_answers, strict=True))
    texts = sorted({text for pair in both for text in pair if text is not None})
    vectors = dict(zip(texts, loaded().embed(texts).astype(np.float64), strict=True)) if texts else {}
    cosines = [
        float(np.clip(vectors[one] @ vectors[two], -1.0, 1.0)) if one is not None and two is not None else np.nan
        for one, two in both
    ]
    return np.array(cosines, dtype=np.float64)


async def _ask(client: Client, sound: Media) -> str | None:
    reply = await client.ask(Chat((Message("user", (sound, QUESTION)),)))
    return None if reply.refused else " ".join(reply.text.split())


def _media(signal: Floats, rate: int) -> Media:
    sent = signal if rate == SENT_RATE else soxr.resample(signal, rate, SENT_RATE, "HQ")
    samples = np.rint(np.clip(sent * 32768, -32768, 32767)).astype(np.int16)
    file = io.BytesIO()
    soundfile.write(file, samples, SENT_RATE, format="WAV", subtype="PCM_16")
    return Media("sound", "wav", file.getvalue(), len(samples) / SENT_RATE)
