"""Every failure of a server has its own outcome; nothing is paid twice; nothing is lost; the key is never shown."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable

import pytest
from llm_server import Answer, Asked, ask_all, endpoint, error, question, serving

from pipelines.core.workspace import Workspace
from pipelines.llm import client as client_module
from pipelines.llm.account import Account
from pipelines.llm.budget import Budget
from pipelines.llm.chat import Chat
from pipelines.llm.client import Reply
from pipelines.llm.request import Media, Message
from pipelines.llm.transcription import Transcription
from schemas.endpoints import Endpoint
from schemas.errors import Reject, RunStopped, UserError

OK = Answer("A dog barks.")


@pytest.fixture(autouse=True)
def hasty(monkeypatch):
    monkeypatch.setattr(client_module, "FIRST_WAIT_S", 0.01)


def only(word: str, bad: Answer, times: int = 10**9) -> Callable[[Asked], Answer]:
    """Return a script that fails the first ``times`` askings of one question, and answers all others."""
    return lambda asked: bad if word in asked.text and asked.same < times else OK


PASSING = {
    "limited": error(429, "rate_limit_exceeded", retry_after="0.2"),
    "server error": error(500),
    "overloaded": error(503, retry_after_ms="50"),
    "reset": Answer(fault="reset"),
    "cut short": Answer(fault="cut_short"),
    "half a JSON": Answer(fault="no_json"),
    "an error with status 200": Answer(body={"error": {"code": 502, "message": "upstream"}}),
    "no choice": Answer(body={"choices": []}),
}


def failing(faults: dict[str, Answer], times: int = 10**9) -> Callable[[Asked], Answer]:
    """Return a script that fails the first ``times`` askings of each question that is a fault's name."""
    return lambda asked: faults[asked.text] if asked.text in faults and asked.same < times else Answer(latency_s=0.03)


def test_what_passes_is_sent_again_and_answered(tmp_path):
    requests = [question(words) for words in (*PASSING, "fine")]
    with serving(failing(PASSING, times=2)) as server:
        replies = ask_all(tmp_path, endpoint(server), requests)
        assert [reply.text for reply in replies] == ["A dog barks."] * len(requests)
        assert [reply.entry["attempts"] for reply in replies] == [3] * len(PASSING) + [1]
        assert len(server.asked) == 3 * len(PASSING) + 1


STAYING = {
    "bad_request": error(400, "invalid_request_error", "audio is too short"),
    "bad_request too long": error(400, "context_length_exceeded", "maximum context length is 4096 tokens"),
    "bad_request too large": error(429, "rate_limit_exceeded", "Request too large for toy on tokens per min"),
    "bad_request unprocessable": error(422, "", "field x"),
    "refused by a filter": error(403, "", "your input was flagged by moderation"),
    "server_error": error(500),
    "rate_limited": error(429),
    "connection_failed": Answer(fault="reset"),
    "broken_response": Answer(fault="no_json"),
    "unreadable empty": Answer(""),
    "unreadable mojibake": Answer("A d\ufffdg b\u0081rks"),
    "unreadable marks": Answer("!!!!!!!!"),
    "unreadable half a pair": Answer(body={"choices": [{"message": {"content": "a \ud83d"}}]}),
}


def test_what_stays_with_one_request_rejects_it_alone_and_says_why(tmp_path):
    fine = [question(f"fine {number}") for number in range(300)]
    with serving(failing(STAYING)) as server:
        place = endpoint(server, deadline_s=0.5, in_flight=len(STAYING) + 6)
        outcomes = ask_all(tmp_path, place, [*map(question, STAYING), *fine])
        bad, replies = outcomes[: len(STAYING)], outcomes[len(STAYING) :]
        assert all(isinstance(each, Reject) for each in bad)
        assert [each.error for each in bad] == [fault.split()[0] for fault in STAYING]
        assert [reply.text for reply in replies] == ["A dog barks."] * len(fine)
        assert set(server.paid.values()) == {1}
        asked = len(server.asked)
        again = ask_all(tmp_path, place, fine)
        assert len(server.asked) == asked
        assert [reply.entry for reply in again] == [reply.entry for reply in replies]


def test_a_request_that_is_never_answered_times_out_alone(tmp_path):
    with serving(only("poison", Answer(fault="hang"))) as server:
        ask_all(tmp_path, endpoint(server), [question("fine")])
        (bad,) = ask_all(tmp_path, endpoint(server, timeout_s=0.2, deadline_s=0.3), [question("poison")])
    assert (bad.error, bad.message.split(":")[1]) == ("timed_out", " no answer within timeout_s")


def test_a_request_that_is_not_answered_in_time_is_sent_again(tmp_path):
    with serving(only("slow", Answer(fault="hang"), times=1)) as server:
        (reply,) = ask_all(tmp_path, endpoint(server, timeout_s=1.5), [question("slow")])
    assert (reply.text, reply.entry["attempts"]) == ("A dog barks.", 2)


STOPPING = {
    "endpoints.toy: .* does not let us in .HTTP 401.; mend the key in TOY_KEY": error(401, "", "bad key sk-secret"),
    "endpoints.toy: .* does not let us in .HTTP 403.; mend the key in TOY_KEY": error(403),
    "endpoints.toy: the quota of the key in TOY_KEY is used up": error(429, "insufficient_quota"),
    "the quota of the key in TOY_KEY is used up .HTTP 402": error(402, "", "sk-secret owes you"),
    "no such model or path .*; mend base_url or model, which is 'toy'": error(
        404, "model_not_found", "The model `toy` does not exist"
    ),
    "no such model or path": error(404, "", "Not Found"),
    "nobody is answered at http.*server_error": error(500),
    "is limited for longer than deadline_s": error(429, retry_after="3600"),
}


@pytest.mark.parametrize("words", STOPPING)
def test_what_is_no_requests_fault_stops_the_run_in_one_line_without_the_key(words, tmp_path, monkeypatch):
    monkeypatch.setenv("TOY_KEY", "sk-secret")
    with serving(lambda asked: STOPPING[words]) as server:
        place = endpoint(server, key_env="TOY_KEY", deadline_s=0.3, in_flight=4)
        with pytest.raises(RunStopped, match=words) as stop:
            ask_all(tmp_path, place, [question(f"q{number}") for number in range(20)])
        assert server.asked[0].headers["authorization"] == "Bearer sk-secret"
        assert len(server.chats) <= 60
        server.script = lambda asked: OK
        assert len(ask_all(tmp_path, place, [question(f"q{number}") for number in range(20)])) == 20
    assert "\n" not in str(stop.value)
    assert "secret" not in str(stop.value)
    assert str(stop.value).endswith("and run the same command again")
    assert "secret" not in "".join(path.read_text() for path in (tmp_path / "llm").iterdir())


def test_an_endpoint_that_is_down_stops_the_run_and_blames_no_request(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    place = Endpoint(base_url=url, model="toy", deadline_s=0.2)
    with pytest.raises(
        RunStopped, match=rf"nobody is answered at {url} .connection_failed.*mend endpoints.toy.base_url"
    ):
        ask_all(tmp_path, place, [question("a"), question("b")])


def test_a_request_that_fails_alone_after_a_resume_is_still_the_one_to_blame(tmp_path):
    with serving(only("poison", error(500))) as server:
        place = endpoint(server, deadline_s=0.2)
        ask_all(tmp_path, place, [question("fine")])
        fine, bad = ask_all(tmp_path, place, [question("fine"), question("poison")])
    assert fine.text == "A dog barks."
    assert bad.error == "server_error"


def test_a_404_is_the_endpoints_fault_until_it_has_answered_and_the_requests_from_then_on(tmp_path):
    with serving(only("poison", error(404, "", "file not found"))) as server:
        with pytest.raises(RunStopped, match="no such model or path .HTTP 404: error file not found"):
            ask_all(tmp_path, endpoint(server), [question("poison")])
        ask_all(tmp_path, endpoint(server), [question("fine")])
        (bad,) = ask_all(tmp_path, endpoint(server), [question("poison")])
    assert bad.error == "bad_request"


def test_a_key_that_is_not_in_the_environment_is_the_users_mistake(tmp_path, monkeypatch):
    monkeypatch.delenv("TOY_KEY", raising=False)
    place = Endpoint(base_url="http://127.0.0.1:1/v1", model="toy", key_env="TOY_KEY")
    with pytest.raises(UserError, match="endpoints.toy.key_env: the environment has no TOY_KEY; set it"):
        ask_all(tmp_path, place, [question("a")])


def test_no_key_of_the_environment_is_sent_where_none_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    with serving() as server:
        ask_all(tmp_path, endpoint(server), [question("a")])
        assert server.asked[0].headers["authorization"] == "Bearer none"


def test_a_second_run_asks_nothing_and_says_the_same(tmp_path):
    requests = [question(f"q{number}") for number in range(20)]
    with serving(lambda asked: Answer(f"echo {asked.text}")) as server:
        place = endpoint(server)
        first = ask_all(tmp_path, place, requests)
        other = endpoint(server, in_flight=1, requests_per_minute=1000, timeout_s=9.0)
        again = ask_all(tmp_path, other, requests)
        assert len(server.asked) == 20
    assert [reply.entry for reply in again] == [reply.entry for reply in first]
    assert again[3].entry["response"]["choices"][0]["message"]["content"] == "echo q3"
    assert first[3].entry["request_id"].startswith("req-")
    assert (first[3].entry["tokens_in"], first[3].entry["tokens_out"], first[3].entry["served"]) == (100, 10, "toy")


def test_runs_that_share_a_folder_pay_once_together(tmp_path):
    with serving() as server:
        place = endpoint(server, responses=str(tmp_path / "shared"))
        ask_all(tmp_path / "one", place, [question("a")])
        ask_all(tmp_path / "two", place, [question("a"), question("b")])
        assert len(server.asked) == 2
    assert not (tmp_path / "one").exists()


def test_the_same_question_asked_of_many_clips_at_once_is_sent_once(tmp_path):
    with serving(lambda asked: Answer(latency_s=0.1)) as server:
        assert len(ask_all(tmp_path, endpoint(server), [question("a")] * 50)) == 50
        assert len(server.asked) == 1


@pytest.mark.parametrize("bad", ["", "\x02\x03", "!!!!"])
def test_an_unreadable_answer_is_asked_for_once_more_and_both_are_kept(bad, tmp_path):
    with serving(lambda asked: Answer(bad if asked.body["temperature"] == 0 else "Rain.")) as server:
        (reply,) = ask_all(tmp_path, endpoint(server), [question("a")])
        assert reply.text == "Rain."
        assert [(asked.body["temperature"], asked.body["seed"]) for asked in server.asked] == [(0, 0), (0.3, 2**20)]
        ask_all(tmp_path, endpoint(server), [question("a")])
        assert len(server.asked) == 2


def test_a_refusal_that_the_server_states_is_an_answer_and_known_as_one(tmp_path):
    stated = [Answer(None, refusal="I won't."), Answer("", finish="content_filter")]
    with serving(lambda asked: stated[asked.number]) as server:
        place = endpoint(server, in_flight=1)
        assert [r.refused for r in ask_all(tmp_path, place, [question("a"), question("b")])] == [True, True]


def test_the_request_on_the_wire_is_the_protocols(tmp_path):
    sound, picture = Media("sound", "wav", b"RIFF", 1.0), Media("picture", "jpeg", b"\xff\xd8")
    messages = (Message("system", ("Be brief.",)), Message("user", (sound, picture, "What?")))
    request = Chat(messages, (("emotion", "how they sound"),))
    with serving() as server:
        place = endpoint(server, structured="json_schema", extra={"top_k": 1}, seed=7, limit="max_completion_tokens")
        (reply,) = ask_all(tmp_path, place, [request])
        body = server.asked[0].body
        transcribed = Transcription(sound, "en")
        server.script = lambda asked: Answer("two words", usage=None)
        (heard,) = ask_all(tmp_path, place, [transcribed])
        form = server.asked[1]
    assert server.asked[0].path == "/v1/chat/completions"
    assert body["messages"][0] == {"role": "system", "content": "Be brief."}
    assert body["messages"][1]["content"] == [
        {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
        {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,/9g="}},
        {"type": "text", "text": "What?"},
    ]
    schema = body["response_format"]["json_schema"]["schema"]
    assert schema["properties"] == {"emotion": {"type": ["string", "null"], "description": "how they sound"}}
    given = {name: body[name] for name in ("model", "max_completion_tokens", "temperature", "seed", "top_k")}
    assert given == {"model": "toy", "max_completion_tokens": 512, "temperature": 0.0, "seed": 7, "top_k": 1}
    assert "max_tokens" not in body
    assert "UklGRg" not in json.dumps(reply.entry)
    assert reply.entry["request"]["messages"][1]["content"][0]["sha256"] == sound.sha256
    assert form.path == "/v1/audio/transcriptions"
    assert form.body == {
        "file": b"RIFF", "model": "toy", "language": "en", "temperature": "0.0", "response_format": "verbose_json", "top_k": "1"
    }  # fmt: skip
    assert heard.text == "two words"


def test_requests_and_scripted_answers_are_those_of_openais_own_types(tmp_path):
    from openai.types.chat import ChatCompletion, completion_create_params
    from pydantic import TypeAdapter

    media = (Media("sound", "wav", b"RIFF", 1.0), Media("picture", "jpeg", b"\xff\xd8"))
    asked_before = (Message("user", (*media, "What?")), Message("assistant", ("Rain.",)), Message("user", ("And?",)))
    with serving() as server:
        (reply,) = ask_all(
            tmp_path, endpoint(server, structured="json_schema"), [Chat(asked_before, (("emotion", "which"),))]
        )
        body = server.asked[0].body
    TypeAdapter(completion_create_params.CompletionCreateParamsNonStreaming).validate_python(body)
    assert ChatCompletion.model_validate(reply.entry["response"]).choices[0].message.content == "A dog barks."


def test_hundreds_are_on_their_way_at_once(tmp_path):
    with serving() as server:
        server.script = lambda asked: Answer(latency_s=0.2, ready=lambda: server.most_open >= 64)
        ask_all(tmp_path, endpoint(server, in_flight=64), [question(f"q{number}") for number in range(256)])
        assert server.most_open == 64
        assert len(server.asked) == sum(server.paid.values()) == 256


def test_a_server_that_limits_is_left_alone_by_all_for_as_long_as_it_asks(tmp_path, monkeypatch):
    paused = []
    with serving(lambda asked: error(429, retry_after="7") if asked.number == 0 else OK) as server:
        monkeypatch.setattr(Budget, "pause", lambda budget, seconds: paused.append((seconds, len(server.asked))))
        with pytest.raises(RunStopped, match="is limited for longer than deadline_s"):
            ask_all(tmp_path, endpoint(server, in_flight=1, deadline_s=1.0), [question("limited"), question("other")])
    assert paused == [(1.0, 1)]  # before the seat was free for the second request


PRICED = {"usd_per_million_in": 0.0, "usd_per_million_out": 1000.0, "max_tokens": 20}
"""Ten tokens of an answer are a cent; the most that one can cost are two."""


def test_dollars_are_never_overspent_and_a_larger_budget_goes_on(tmp_path):
    requests = [question(f"q{number}") for number in range(60)]
    with serving(lambda asked: Answer(latency_s=0.01)) as server:
        with pytest.raises(RunStopped, match=r"0\.2\d+ of 0.25 dollars are spent and the next request may cost 0.02"):
            ask_all(tmp_path, endpoint(server, max_usd=0.25, in_flight=16, **PRICED), requests)
        paid = server.tokens[1]
        assert 240 <= paid <= 250
        with pytest.raises(RunStopped, match="raise max_usd"):
            ask_all(tmp_path, endpoint(server, max_usd=0.25, in_flight=16, **PRICED), requests)
        assert server.tokens[1] == paid
        replies = ask_all(tmp_path, endpoint(server, max_usd=10.0, in_flight=16, **PRICED), requests)
        assert len(server.asked) == len(replies) == 60
    account = Account(Workspace(str(tmp_path)), "llm", "toy").usd
    assert account == sum(server.paid.values()) * account.__class__("0.01")
    assert sum(reply.entry["usd"] for reply in replies if isinstance(reply, Reply)) == pytest.approx(0.6)


def test_an_answer_that_was_lost_on_the_way_counts_as_paid(tmp_path):
    with serving(only("a", Answer(fault="cut_short"), times=1)) as server:
        ask_all(tmp_path, endpoint(server, max_usd=1.0, **PRICED), [question("a")])
    assert float(Account(Workspace(str(tmp_path)), "llm", "toy").usd) == pytest.approx(0.02 + 0.01)


def test_where_the_server_states_no_usage_the_most_is_counted_and_the_tokens_are_unknown(tmp_path):
    with serving(lambda asked: Answer(usage=None)) as server:
        (reply,) = ask_all(tmp_path, endpoint(server, max_usd=1.0, **PRICED), [question("a")])
    assert (reply.entry["tokens_in"], reply.entry["tokens_out"], reply.entry["usd"]) == (None, None, 0.02)
    assert float(Account(Workspace(str(tmp_path)), "llm", "toy").usd) == pytest.approx(0.02)


def test_a_key_of_a_mounted_file_may_end_in_a_newline_and_one_that_no_header_can_hold_is_told(tmp_path, monkeypatch):
    from pipelines.llm.transport import secret_of

    place = Endpoint(base_url="http://127.0.0.1:9/v1", model="toy", key_env="TOY_KEY")
    monkeypatch.setenv("TOY_KEY", "sk-secret\n")
    assert secret_of("toy", place) == "sk-secret"
    for odd in ("sk secret", "sk-sécret", "sk\nsecret"):
        monkeypatch.setenv("TOY_KEY", odd)
        with pytest.raises(UserError, match="endpoints.toy.key_env: what TOY_KEY holds is no key") as caught:
            secret_of("toy", place)
        assert "secret" not in str(caught.value)
