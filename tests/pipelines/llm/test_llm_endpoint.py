"""A wrong endpoint is told when the recipe is read, or at planning: in one line, before any work and without the network."""

from __future__ import annotations

import datetime
import os

import pytest
from pydantic import ValidationError

from pipelines.llm.check import check_endpoint, place_of
from pipelines.llm.request import Media
from pipelines.llm.transcription import Transcription
from schemas.endpoints import Endpoint
from schemas.errors import UserError


def place(**settings) -> Endpoint:
    return Endpoint.model_validate({"base_url": "http://x/v1", "model": "m", **settings})


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://host:99999/v1", "is no URL .Port out of range"),
        ("http://host:port/v1", "is no URL .Port could not be cast"),
        ("http://[::1/v1", "is no URL .Invalid IPv6 URL"),
        ("http:///v1", "names no server"),
        ("http://:8000/v1", "names no server"),
        ("https://me:secret@host/v1", "before the @; name the key's environment variable in key_env"),
        ("https://host/v1?api-version=1", "goes on after ."),
        ("ftp://host/v1", "match pattern"),
    ],
)
def test_a_url_that_leads_nowhere_is_told(url, words):
    with pytest.raises(ValidationError, match=words):
        place(base_url=url)


def test_urls_of_servers_are_taken_as_they_are():
    for url in ("http://localhost:8000/v1", "https://api.openai.com/v1", "http://[::1]:8000/v1", "http://10.0.0.1/v1/"):
        assert place(base_url=url).base_url == url


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ({"api_key": "x"}, "api_key looks like a key; name its environment variable in key_env"),
        ({"headers": {"x": "y"}}, "headers looks like a key"),
        ({"options": {"Authorization": "Bearer x"}}, "Authorization looks like a key"),
        ({"options": [{"user": "sk-0123456789abcdef0123"}]}, "user looks like a key"),
        ({"since": datetime.date(2026, 1, 1)}, "since holds what JSON cannot .*put a text in quotes"),
        ({"stop": {"a", "b"}}, "stop holds what JSON cannot"),
        ({"top_p": float("nan")}, "top_p holds what JSON cannot"),
        ({"seed": 1}, "seed is not set here"),
    ],
)
def test_what_extra_may_not_hold_is_told(extra, words):
    with pytest.raises(ValidationError, match=words) as caught:
        place(extra=extra)
    assert "\n" not in caught.value.errors()[0]["msg"]


def test_what_servers_really_take_is_no_secret():
    extra = {"stop_token_ids": [1], "prompt_cache_key": "a", "skip_special_tokens": True, "top_k": 1, "stop": ["\n"]}
    assert place(extra=extra).extra == extra


def test_a_home_of_somebody_else_is_no_folder_and_makes_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValidationError, match="responses"):
        place(responses="~nobody/x")
    assert not list(tmp_path.iterdir())


def test_a_missing_key_and_a_folder_that_cannot_be_written_are_told_at_planning(tmp_path, monkeypatch):
    monkeypatch.delenv("TOY_KEY", raising=False)
    with pytest.raises(UserError, match="endpoints.toy.key_env: the environment has no TOY_KEY"):
        check_endpoint("describe.write a", "toy", place(key_env="TOY_KEY"))
    (tmp_path / "file").write_text("")
    for wrong in (f"{tmp_path}/file", f"{tmp_path}/file/below"):
        with pytest.raises(UserError, match="endpoints.toy.responses: .*(is a file|cannot be written); name a folder"):
            check_endpoint("describe.write a", "toy", place(responses=wrong))
    with pytest.raises(UserError, match="endpoints.toy.responses: http://x: cannot be written over HTTP"):
        check_endpoint("describe.write a", "toy", place(responses="http://x"))
    check_endpoint("describe.write a", "toy", place(responses=f"{tmp_path}/new/folder"))
    assert not (tmp_path / "new").exists()
    assert place_of("toy", place(responses=f"{tmp_path}/new")).root == f"{tmp_path}/new"
    assert os.path.isdir(tmp_path / "new")


def test_words_are_withheld_whatever_else_the_server_sends():
    request = Transcription(Media("sound", "wav", b"RIFF", 1.0), withhold=True)
    body = {"text": "my secret words", "words_counted": 3, "broken": False, "language": "english"}
    assert request.said(body).text == "my secret words"
    kept = request.kept(body)
    assert "secret" not in repr(kept)
    assert kept["words_counted"] == 3
    assert request.said(kept).text == ""
    assert Transcription(request.sound).said(body).text == "my secret words"
