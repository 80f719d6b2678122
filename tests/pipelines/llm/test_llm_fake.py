"""The server for dry runs: same questions, same answers; limits, faults and usage as told; the client gets through all of it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from llm_server import Server, ask_all, question

from pipelines.llm import client as client_module
from pipelines.llm.chat import Chat
from pipelines.llm.client import Reply
from pipelines.llm.fake import Fake, sentence
from pipelines.llm.request import Media, Message, Request
from pipelines.llm.serving import Answer, Asked
from pipelines.llm.transcription import Transcription
from schemas.endpoints import Endpoint

ROOT = Path(__file__).parents[3]


@contextlib.contextmanager
def faking(**settings) -> Iterator[tuple[Server, Fake]]:
    """Serve a fake's answers, counted by the tests' own server."""
    fake, server = Fake(**settings), Server()
    server.said = fake.said  # type: ignore[method-assign]
    try:
        yield server, fake
    finally:
        server.close()


def asked(root: Path, server: Server, requests: list[Request], **settings) -> list[Reply]:
    place = Endpoint.model_validate({"base_url": server.base_url, "model": "fake", "deadline_s": 60.0, **settings})
    return ask_all(root, place, requests)  # type: ignore[return-value]


def test_an_answer_names_the_labels_of_its_prompt_and_is_always_the_same(tmp_path):
    prompt = "Write a caption.\n<labels>Dog barking, Rain; Wind (0.93)\nRain</labels>"
    assert sentence(prompt) == "There is dog barking, rain and wind."
    clips = "<clip 1>\nlabels: Cat; Dog\n</clip>\n<clip 2>\ntimed: 0.5-1.25 s Cow\n</clip>"
    assert sentence(clips) == "1. There is cat and dog.\n2. There is cow."
    assert sentence("What?") == sentence("What?") != sentence("Why?")
    with faking() as (server, _):
        first = asked(tmp_path / "a", server, [question(prompt), question("What?")])
        again = asked(tmp_path / "b", server, [question(prompt), question("What?")])
    assert [reply.text for reply in first] == [reply.text for reply in again] == [sentence(prompt), sentence("What?")]
    assert first[0].entry["tokens_out"] == len(first[0].text) // 4
    assert first[0].entry["tokens_in"] > len(prompt) // 4 - 1


@pytest.mark.parametrize("structured", ["none", "json_object", "json_schema"])
def test_where_fields_are_asked_for_they_are_what_is_answered(structured, tmp_path):
    words = 'Answer with one JSON object with the keys "emotion" and "language". <labels>Speech</labels>'
    request = Chat((Message("user", (words,)),), (("emotion", "how"), ("language", "which")))
    with faking() as (server, _):
        (reply,) = asked(tmp_path, server, [request], structured=structured)
    assert json.loads(reply.text) == dict.fromkeys(("emotion", "language"), "There is speech.")


def test_a_limit_of_tokens_cuts_and_sounds_are_transcribed(tmp_path):
    with faking() as (server, _):
        cut, said = asked(
            tmp_path,
            server,
            [
                question("<labels>a very long label, another one</labels>"),
                Transcription(Media("sound", "wav", b"RIFF")),
            ],
            max_tokens=4,
        )
    assert (cut.cut, cut.text) == (True, "There is a very ")
    assert len(said.text.split()) == 6
    assert said.entry["response"]["segments"][0]["text"] == said.text


def test_the_client_gets_through_a_share_of_faults_and_nothing_is_paid_twice(tmp_path, monkeypatch):
    monkeypatch.setattr(client_module, "FIRST_WAIT_S", 0.01)
    requests: list[Request] = [question(f"q{number}") for number in range(100)]
    with faking(faults=0.3, seed=4) as (server, fake):
        replies = asked(tmp_path, server, requests, in_flight=50)
        assert [reply.text for reply in replies] == [sentence(f"q{number}") for number in range(100)]
        assert 15 <= fake.told["failed"] <= 90
        assert fake.told["served"] == 100
        counted = fake.told.copy()
        asked(tmp_path, server, requests)
        assert fake.told == counted


def test_more_than_the_limit_of_a_minute_are_turned_away_until_it_is_over():
    fake = Fake(requests_per_minute=3)
    body = {"model": "fake", "messages": [{"role": "user", "content": "hello"}]}

    def at(seconds: float) -> Answer:
        return fake.said(Asked(0, 0, "/v1/chat/completions", body, {}, seconds))

    assert [at(second).status for second in (0.0, 10.0, 20.0, 30.0, 59.9)] == [200, 200, 200, 429, 429]
    assert at(30.5).headers["retry-after"] == "30"
    assert [at(second).status for second in (60.0, 60.1, 70.0)] == [200, 429, 200]


def test_what_it_does_not_know_it_says():
    fake = Fake()
    assert fake.said(Asked(0, 0, "/v1/embeddings", {}, {}, 0.0)).status == 404
    assert fake.said(Asked(0, 0, "/v1/chat/completions", {"model": "x"}, {}, 0.0)).status == 400
    assert fake.ask("POST", "/v1/chat/completions", {}, b"{no")[1].status == 400


COMMAND = """import argparse, sys
from pipelines.llm import fake
from schemas.errors import UserError
parser = argparse.ArgumentParser()
fake.arguments(parser)
try:
    sys.exit(fake.main(parser.parse_args(sys.argv[1:])))
except UserError as error:
    sys.exit(str(error))
"""


def started(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", COMMAND, *arguments]
    pipe, path = subprocess.PIPE, {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env={**os.environ, **path})


def test_the_command_says_where_it_serves_and_at_the_end_what_was_served(tmp_path):
    process = started("--port", "0", "--latency", "0")
    watchdog = threading.Timer(60, process.kill)
    watchdog.start()
    url = process.stdout.readline().split()[1].rstrip(",")
    place = Endpoint(base_url=url, model="fake")
    assert [reply.text for reply in ask_all(tmp_path, place, [question("a"), question("b")])] == [
        sentence("a"),
        sentence("b"),
    ]
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    watchdog.cancel()
    assert (process.returncode, err) == (0, "")
    assert out.startswith("served 2, tokens in ")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--faults", "2"), "--faults 2.0: must be 0 to 1"),
        (("--port", "70000"), "--port 70000: must be 0 to 65535"),
        (("--latency", "nan"), "--latency nan: must be 0 or more"),
    ],
)
def test_a_wrong_argument_is_one_line(arguments, words):
    process = started(*arguments)
    assert process.communicate(timeout=300)[1].strip() == words


def test_a_judge_of_claims_cannot_tell_whatever_form_is_asked_for(tmp_path):
    from pipelines.refine.judge_answers import read_verdicts

    prompt = "<clip>\nlabels: Dog\n</clip>\n<claims>\n1. source: dog\n2. action: barks\n</claims>\nGive the verdicts."
    with faking() as (server, _):
        (reply,) = asked(tmp_path, server, [question(prompt)], structured="json_object")
    assert read_verdicts(reply.text, 2) == ("cannot tell", "cannot tell")
