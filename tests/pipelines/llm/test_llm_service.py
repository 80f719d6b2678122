"""What stops one conversation stops all, is told to whoever comes after, and says what is waited for."""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import Any

import pytest
from llm_server import Answer, Asked, Server, endpoint, error, question, serving

from pipelines.core import stop
from pipelines.core.workspace import Workspace
from pipelines.llm import client as client_module
from pipelines.llm import service as service_module
from pipelines.llm.client import Client
from pipelines.llm.service import STOPPED, Service
from schemas.errors import RunStopped


@pytest.fixture
def asked_to_stop(monkeypatch):
    wanted = threading.Event()
    monkeypatch.setattr(stop, "_requested", wanted)
    return wanted


def halted(own: Service) -> bool:
    """Say whether conversations are at an end already; what was sent before is still on its way."""
    return own._halted is not None


def opened(server: Server, root, **settings) -> tuple[Service, Client]:
    own = Service()
    return own, own.open("toy", endpoint(server, **settings), Workspace(str(root)))


def test_whoever_waits_and_whoever_comes_later_is_told_what_stopped_the_first(tmp_path):
    def script(asked: Asked) -> Answer:
        return Answer(ready=lambda: halted(own)) if asked.text == "waits" else error(401)

    with serving(script) as server:
        own, client = opened(server, tmp_path)
        first = own.start(client, [partial(client.ask, question("waits"))])
        while not server.asked:
            time.sleep(0.005)
        second = own.start(client, [partial(client.ask, question("stops"))])
        with pytest.raises(RunStopped, match="does not let us in") as reason:
            second.results()
        with pytest.raises(RunStopped) as told_first:
            first.results()
        with pytest.raises(RunStopped) as told_later:
            own.start(client, [partial(client.ask, question("later"))])
        assert told_first.value is told_later.value is reason.value
        assert len(server.chats) == 2
        assert server.paid.total() == 1  # what was sent was seen through to the ledger
        again = own.open("toy", endpoint(server), Workspace(str(tmp_path)))
        (reply,) = own.start(again, [partial(again.ask, question("waits"))]).results()
        assert reply.text == "A dog barks."
        assert len(server.chats) == 2


def test_a_stop_that_the_user_asks_for_ends_every_group_and_is_told_as_such(tmp_path, asked_to_stop):
    with serving(lambda asked: Answer(ready=lambda: halted(own))) as server:
        own, client = opened(server, tmp_path)
        groups = [own.start(client, [partial(client.ask, question(words))]) for words in ("a", "b")]
        while len(server.asked) < 2:
            time.sleep(0.005)
        asked_to_stop.set()
        with pytest.raises(KeyboardInterrupt):
            groups[0].results()
        asked_to_stop.clear()
        with pytest.raises(RunStopped, match="the run was stopped; run the same command again") as told:
            groups[1].results()
        with pytest.raises(RunStopped) as later:
            own.start(client, [partial(client.ask, question("c"))])
    assert told.value is later.value is STOPPED


def test_a_stop_that_has_to_wait_says_for_how_many_answers_and_how_long(tmp_path, asked_to_stop, monkeypatch, capsys):
    monkeypatch.setattr(service_module, "_PATIENCE_S", 0.05)
    said = threading.Event()

    def say(*words: str, **how: Any) -> None:
        print(*words, **how)
        said.set()

    monkeypatch.setattr(service_module, "print", say, raising=False)
    with serving(lambda asked: Answer(ready=said.is_set)) as server:
        own, client = opened(server, tmp_path, timeout_s=30.0)
        group = own.start(client, [partial(client.ask, question(f"q{number}")) for number in range(3)])
        while len(server.asked) < 3:
            time.sleep(0.005)
        asked_to_stop.set()
        with pytest.raises(KeyboardInterrupt):
            group.results()
    told = capsys.readouterr().err
    assert told.startswith(
        "earloom: 3 requests are on their way and may be charged; their answers are waited for, at most 30 s"
    )
    assert told.count("\n") == 1
    assert server.paid.total() == 3


def test_nothing_is_sent_where_the_ledger_cannot_be_written(tmp_path, monkeypatch):
    monkeypatch.setattr(client_module, "FIRST_WAIT_S", 0.01)
    with serving() as server:
        own, client = opened(server, tmp_path)
        (tmp_path / "llm").write_text("a file where the folder should be")
        with pytest.raises(RunStopped, match="llm: cannot be written .*run the same command again"):
            own.start(client, [partial(client.ask, question("a"))]).results()
        assert not server.asked
