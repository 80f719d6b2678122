"""Batches: gathered, answered, partly failed, expired, refused, killed at any step; nothing is paid twice and no dollar is lost."""

from __future__ import annotations

import asyncio
import json
import time
from functools import partial

import pytest
from llm_server import Answer, Asked, Server, ask_all, endpoint, error, question, serving

from pipelines.core.workspace import Workspace
from pipelines.llm.account import Account
from pipelines.llm.batches import Batches
from pipelines.llm.check import check_endpoint
from pipelines.llm.service import Service
from pipelines.llm.transport import Transport
from schemas.endpoints import Endpoint
from schemas.errors import Reject, RunStopped, UserError

PRICED = {"usd_per_million_in": 0.0, "usd_per_million_out": 1000.0, "max_tokens": 20}
"""Ten tokens of an answer are a cent; the most that one can cost are two."""


def place(server: Server, **settings) -> Endpoint:
    return endpoint(server, transport="batch", poll_s=0.05, **PRICED, **settings)


def cents(root) -> float:
    return float(Account(Workspace(str(root)), "llm", "toy").usd * 100)


def made(server: Server) -> list[Asked]:
    return [asked for asked in server.asked if asked.path == "/v1/batches" and asked.method == "POST"]


QUESTIONS = [question(f"q{number}") for number in range(30)]


def test_all_that_is_asked_at_once_is_one_batch_and_the_ledger_is_the_same_as_online(tmp_path):
    with serving(lambda asked: Answer(f"echo {asked.text}")) as server:
        replies = ask_all(tmp_path / "batch", place(server), QUESTIONS)
        assert [reply.text for reply in replies] == [f"echo q{number}" for number in range(30)]
        assert len(made(server)) == 1
        lines = [json.loads(line) for line in server.batches.files["file-0"].splitlines()]
        assert {line["url"] for line in lines} == {"/v1/chat/completions"}
        assert [line["custom_id"] for line in lines] == [reply.entry["key"] for reply in replies]
        online = ask_all(tmp_path / "online", endpoint(server, **PRICED), QUESTIONS)
        own = ("at", "latency_s", "request_id", "response")
        for one, other in zip(replies, online, strict=True):
            assert {k: v for k, v in one.entry.items() if k not in own} == {
                k: v for k, v in other.entry.items() if k not in own
            }
        asked = len(server.asked)
        assert [reply.entry for reply in ask_all(tmp_path / "batch", place(server), QUESTIONS)] == [
            reply.entry for reply in replies
        ]
        assert len(server.asked) == asked
    assert cents(tmp_path / "batch") == 30


def test_what_fails_in_a_batch_is_rejected_or_sent_in_a_further_one_as_its_fault_says(tmp_path):
    faults = {
        "q3": error(400, "invalid_request_error", "too long"),
        "q5": error(500),
        "q7": Answer(fault="expired"),
        "q9": Answer(""),
    }

    def script(asked: Asked) -> Answer:
        passes = asked.text in ("q5", "q7") and asked.same
        return faults[asked.text] if asked.text in faults and not passes else Answer()

    with serving(script) as server:
        outcomes = ask_all(tmp_path, place(server), QUESTIONS)
        assert len(made(server)) == 2
        assert {batch.body["status"] for batch in server.batches.batches.values()} == {"expired", "completed"}
    bad = {number: each.error for number, each in enumerate(outcomes) if isinstance(each, Reject)}
    assert bad == {3: "bad_request", 9: "unreadable"}
    assert (outcomes[5].entry["attempts"], outcomes[7].entry["attempts"], outcomes[0].entry["attempts"]) == (2, 2, 1)
    assert set(server.paid.values()) == {1}
    assert cents(tmp_path) == 28 + 2  # q9 was answered, and paid, twice


def test_what_never_passes_is_given_up_after_three_batches(tmp_path):
    with serving(lambda asked: error(500) if asked.text == "q1" else Answer()) as server:
        outcomes = ask_all(tmp_path, place(server), QUESTIONS[:3])
        assert len(made(server)) == 3
    assert (outcomes[1].error, outcomes[1].message.split(":")[0]) == ("server_error", "sent in 3 batches")


def test_a_batch_that_is_refused_stops_the_run_and_costs_nothing(tmp_path):
    with serving(lambda asked: Answer(fault="failed")) as server:
        with pytest.raises(
            RunStopped, match="endpoints.toy: batch batch_0 was refused .invalid_request: the file is no"
        ):
            ask_all(tmp_path, place(server, max_usd=1.0), QUESTIONS)
        assert cents(tmp_path) == 0
        server.script = lambda asked: Answer()
        assert len(ask_all(tmp_path, place(server, max_usd=1.0), QUESTIONS)) == 30
    assert cents(tmp_path) == 30


def test_dollars_are_held_for_the_whole_batch_and_what_they_do_not_suffice_for_waits(tmp_path):
    with serving() as server:
        with pytest.raises(RunStopped, match="dollars are spent and the next request may cost 0.02"):
            ask_all(tmp_path, place(server, max_usd=0.25), QUESTIONS)
        assert 23 <= sum(server.paid.values()) <= 25
        assert cents(tmp_path) == sum(server.paid.values())
        assert max(len(batch.lines) for batch in server.batches.batches.values()) == 12
        ask_all(tmp_path, place(server, max_usd=1.0), QUESTIONS)
        assert set(server.paid.values()) == {1}
    assert cents(tmp_path) == 30


STEPS = {
    "before anything is on the disk": (Batches, "_write", "before"),
    "before the dollars are held": (Account, "note", "before"),
    "before it is sent": (Transport, "make_batch", "before"),
    "after it is sent, before its name is on the disk": (Transport, "make_batch", "after"),
    "while it is waited for": (Transport, "batch", "before"),
    "before its answers are fetched": (Transport, "lines_of", "before"),
    "before its answers are on the disk": (Batches, "_keep", "before"),
    "before its dollars are settled": (Account, "note", "second"),
    "before it is marked as over": (Account, "note", "after second"),
}


@pytest.mark.parametrize("step", STEPS)
def test_a_process_that_ends_at_any_step_leaves_a_batch_that_the_next_one_sees_through(step, tmp_path, monkeypatch):
    owner, name, when = STEPS[step]
    real, calls, dead = getattr(owner, name), [0], [False]

    async def killing(*args, **kwargs):
        calls[0] += 1
        if dead[0] or (when == "before") or (when == "second" and calls[0] == 2):
            dead[0] = True
            await asyncio.sleep(3600)
        result = await real(*args, **kwargs)
        if when == "after" or (when == "after second" and calls[0] == 2):
            dead[0] = True
            await asyncio.sleep(3600)
        return result

    with serving() as server:
        monkeypatch.setattr(owner, name, killing)
        own = Service()
        client = own.client("toy", place(server, max_usd=10.0), Workspace(str(tmp_path)))
        own.start(client, [partial(client.ask, request) for request in QUESTIONS])
        for _ in range(2000):
            if dead[0]:
                break
            time.sleep(0.005)
        assert dead[0]
        monkeypatch.undo()
        replies = ask_all(tmp_path, place(server, max_usd=10.0), QUESTIONS)
        assert all(reply.text == "A dog barks." for reply in replies)
        assert set(server.paid.values()) == {1}
        assert len(made(server)) == 1
        for _ in range(
            2000
        ):  # where all answers were on the disk already, the batch is settled while nobody waits for it
            if cents(tmp_path) == 30:
                break
            time.sleep(0.005)
    assert cents(tmp_path) == 30


def test_transcriptions_have_no_batches_and_that_is_told_at_planning():
    target = Endpoint(base_url="http://x/v1", model="m", transport="batch")
    check_endpoint("describe.write a", "toy", target)
    with pytest.raises(UserError, match="listen.transcribe: endpoints.asr.transport: transcriptions have no batches"):
        check_endpoint("listen.transcribe", "asr", target, chats=False)
