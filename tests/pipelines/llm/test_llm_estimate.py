"""An estimate says what requests will come to, and which of its figures is a bound and which was measured."""

from __future__ import annotations

import pytest
from llm_server import Answer, ask_all, endpoint, question, serving

from pipelines.core.workspace import Workspace
from pipelines.llm.account import Account
from pipelines.llm.chat import Chat
from pipelines.llm.estimate import BYTES_PER_TOKEN, Measured, estimate, measure
from pipelines.llm.request import Media, Message
from pipelines.llm.transcription import Transcription
from schemas.endpoints import Endpoint

PRICED = {"usd_per_million_in": 10.0, "usd_per_million_out": 100.0}


def place(**settings) -> Endpoint:
    return Endpoint.model_validate({"base_url": "http://x/v1", "model": "toy", "max_tokens": 50, **settings})


def test_without_a_ledger_tokens_are_a_ratio_of_bytes_and_answers_their_bound():
    found = estimate([question("x" * 300), question("x" * 600)], 1000, place(**PRICED))
    assert found.tokens_in == 1000 * 450 / BYTES_PER_TOKEN
    assert found.tokens_out == 1000 * 50
    assert found.usd == pytest.approx(0.15 * 10 + 0.05 * 100)
    assert found.most_usd == pytest.approx(((450 + 128) * 10 + 50 * 100) / 1000)
    assert "tokens in (at 3 bytes a token)" in found.words()
    assert "50,000 out (bound: max_tokens)" in found.words()
    assert "at most (bound)" in found.words()
    assert "\n" not in found.words()


def test_what_is_asked_of_a_real_server_stays_within_the_bound_and_then_is_what_was_measured(tmp_path):
    requests = [question(f"{number} " + "word " * (20 + number)) for number in range(40)]
    with serving(lambda asked: Answer(usage=(len(asked.text) // 5, 7), latency_s=0.01)) as server:
        target = endpoint(server, max_usd=10.0, **PRICED)
        before = estimate(requests, 40, target)
        ask_all(tmp_path, target, requests)
        known = measure(Workspace(str(tmp_path)), "llm", "toy", target)
        after = estimate(requests, 40, target, known)
    paid = float(Account(Workspace(str(tmp_path)), "llm", "toy").usd)
    assert paid <= before.most_usd
    assert after.usd == pytest.approx(paid, rel=0.02)
    assert (known.answers, known.tokens_out) == (40, 7)
    assert known.bytes_per_token == pytest.approx(5, rel=0.1)
    assert known.latency_s >= 0.01
    assert "(measured ratio), 280 out (mean of 40 answers)" in after.words()
    assert measure(Workspace(str(tmp_path)), "llm", "toy", place(model="another")) == Measured()
    assert measure(Workspace(str(tmp_path)), "llm", "other", target) == Measured()


def test_sounds_and_pictures_are_taken_for_what_the_settings_say():
    sound, picture = Media("sound", "wav", b"RIFF", 10.0), Media("picture", "jpeg", b"\xff\xd8")
    target = place(tokens_per_second=25.0, tokens_per_picture=1000)
    assert estimate([Chat((Message("user", (picture, picture, "xxx")),))], 1, target).tokens_in == 2001
    assert estimate([Chat((Message("user", (sound, "xxx")),))], 1, target).tokens_in == pytest.approx(251, abs=1)
    heard = estimate([Transcription(sound)], 6, place(usd_per_minute=0.6, tokens_per_second=25.0))
    assert heard.tokens_in == 1500
    assert heard.usd == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("settings", "seconds", "slowest"),
    [
        ({"in_flight": 10}, 200.0, "in_flight"),
        ({"in_flight": 100, "requests_per_minute": 60}, 1000.0, "requests_per_minute"),
        ({"in_flight": 100, "tokens_per_minute": 6000}, 1500.0, "tokens_per_minute"),
        ({"transport": "batch"}, None, "the batches"),
    ],
)
def test_the_slowest_limit_sets_the_pace(settings, seconds, slowest):
    found = estimate([question("x" * 300)], 1000, place(**settings))
    assert found.slowest == slowest
    assert found.seconds == pytest.approx(seconds) if seconds else found.seconds is None
    assert slowest in found.words() or "in batches, within a day" in found.words()


def test_that_max_usd_will_not_do_is_told_and_nothing_to_ask_costs_nothing():
    assert (
        "more than max_usd = 0.5: the run will stop there"
        in estimate([question("x")], 1000, place(max_usd=0.5, **PRICED)).words()
    )
    assert estimate([], 0, place(**PRICED)).most_usd == 0
    assert "no price" in estimate([question("x")], 5, place()).words()
