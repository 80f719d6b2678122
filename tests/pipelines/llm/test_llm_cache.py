"""Responses outlive kill -9 at any byte, are found again by any process, and read as what they are by DuckDB."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from pipelines.core.workspace import Workspace
from pipelines.llm import journal
from pipelines.llm.account import Account
from pipelines.llm.cache import Responses
from pipelines.llm.journal import Journal
from schemas.errors import RunStopped


def entry(word: str, text: str = "ok", endpoint: str = "toy") -> dict:
    key = hashlib.sha256(word.encode()).hexdigest()
    return {"key": key, "endpoint": endpoint, "usd": 0.25, "response": {"text": text}}


def put(workspace: Workspace, *entries: dict) -> Responses:
    responses = Responses(workspace, "llm")

    async def all_at_once() -> None:
        await asyncio.gather(*(responses.put(each) for each in entries))

    asyncio.run(all_at_once())
    return responses


def found(workspace: Workspace, *entries: dict) -> list[dict | None]:
    responses = Responses(workspace, "llm")

    async def look() -> list[dict | None]:
        return [await responses.get(each["key"]) for each in entries]

    return asyncio.run(look())


ODD = ["a\nb", "\ud83d lone", "\u2028", "\x00", '"}', "é"]


@pytest.mark.parametrize("root", ["local", "memory://llm-cache"])
def test_what_was_put_is_found_by_another_process_whatever_it_says(root, tmp_path):
    workspace = Workspace(str(tmp_path) if root == "local" else f"{root}-{tmp_path.name}")
    entries = [entry(f"w{number}", text) for number, text in enumerate(ODD)]
    put(workspace, *entries[:3])
    put(workspace, *entries[3:])
    assert found(workspace, *entries) == entries
    assert found(workspace, entry("never asked")) == [None]
    assert len(Responses(workspace, "llm")) == len(entries)
    assert Responses(workspace, "llm").endpoints == {"toy"}


def test_a_file_cut_at_any_byte_keeps_every_line_before_the_cut(tmp_path):
    entries = [entry(f"w{number}", "x" * number) for number in range(3)]
    put(Workspace(str(tmp_path / "whole")), *entries)
    (file,) = (tmp_path / "whole" / "llm").iterdir()
    data = file.read_bytes()
    ends = [number + 1 for number, byte in enumerate(data) if byte == ord("\n")]
    for cut in range(len(data) + 1):
        folder = tmp_path / "cut" / "llm"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / file.name).write_bytes(data[:cut])
        assert len(Responses(Workspace(str(tmp_path / "cut")), "llm")) == sum(end <= cut for end in ends), cut
    (folder / file.name).write_bytes(data[: ends[1] + 7])
    later = entry("later")
    put(Workspace(str(tmp_path / "cut")), later)
    assert found(Workspace(str(tmp_path / "cut")), entries[0], entries[2], later) == [entries[0], None, later]


def test_two_that_write_at_once_have_a_file_each(tmp_path):
    workspace = Workspace(str(tmp_path))
    first, second = Journal(workspace, "llm", "x"), Journal(workspace, "llm", "x")

    async def both() -> None:
        await asyncio.gather(*(journal.append(b"%d" % n) for journal in (first, second) for n in range(50)))

    asyncio.run(both())
    files = [path.read_text().split() for path in (tmp_path / "llm").iterdir()]
    assert files == [[str(n) for n in range(50)]] * 2
    assert len(list(first.lines())) == 100


def test_a_damaged_line_is_asked_again_and_hides_no_other(tmp_path):
    entries = [entry(f"w{number}") for number in range(3)]
    put(Workspace(str(tmp_path)), *entries)
    (file,) = (tmp_path / "llm").iterdir()
    lines = file.read_bytes().splitlines(keepends=True)
    lines[1] = lines[1][:90] + b"\x00\xff" + lines[1][92:]
    file.write_bytes(b"".join(lines))
    assert found(Workspace(str(tmp_path)), *entries) == [entries[0], None, entries[2]]


def test_a_disk_that_cannot_be_written_stops_the_run_and_is_named(tmp_path):
    (tmp_path / "llm").write_text("a file where the folder should be")
    with pytest.raises(RunStopped, match="llm: cannot be written .*run the same command again"):
        put(Workspace(str(tmp_path)), entry("w"))


def test_a_line_that_was_torn_by_a_full_disk_takes_no_later_one_with_it(tmp_path, monkeypatch):
    responses = put(Workspace(str(tmp_path)), entry("before"))
    real = os.write

    def full(descriptor: int, data: bytes) -> int:
        real(descriptor, bytes(data)[:20])
        raise OSError(errno.ENOSPC, "No space left on device")

    async def both() -> None:
        monkeypatch.setattr(journal.os, "write", full)
        with pytest.raises(RunStopped, match="No space left on device"):
            await responses.put(entry("during"))
        monkeypatch.setattr(journal.os, "write", real)
        await responses.put(entry("after"))

    asyncio.run(both())
    entries = entry("before"), entry("during"), entry("after")
    assert found(Workspace(str(tmp_path)), *entries) == [entries[0], None, entries[2]]


def test_duckdb_reads_the_ledger_torn_last_line_and_all(tmp_path):
    put(Workspace(str(tmp_path)), *(entry(f"w{number}") for number in range(3)))
    (file,) = (tmp_path / "llm").iterdir()
    file.write_bytes(file.read_bytes() + b'{"key":"tor')
    where = Path(tmp_path / "llm" / "responses-*.jsonl")
    query = f"""SELECT count(*), sum(usd) FROM read_json('{where}', format = 'newline_delimited', ignore_errors = true)
        WHERE key IS NOT NULL"""
    assert duckdb.execute(query).fetchone() == (3, 0.75)


def test_an_account_keeps_what_was_held_and_never_settled(tmp_path):
    workspace = Workspace(str(tmp_path))
    account = Account(workspace, "llm", "toy")

    async def spend() -> None:
        await account.add(Decimal("0.3"))
        await account.add(Decimal("0.1") - Decimal("0.3"))
        await account.add(Decimal("0.7"))  # and then the process is killed

    asyncio.run(spend())
    assert Account(workspace, "llm", "toy").usd == Decimal("0.8")
    assert Account(workspace, "llm", "other").usd == 0
