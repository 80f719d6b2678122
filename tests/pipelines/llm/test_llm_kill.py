"""kill -9 while requests are on their way: nothing that reached the disk is paid again, and no dollar is forgotten."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

from llm_server import Answer, Server, serving

from pipelines.core.workspace import Workspace
from pipelines.llm.account import Account
from pipelines.llm.cache import Responses

ROOT = Path(__file__).parents[3]
COUNT, IN_FLIGHT, KILLS = 400, 12, 6


def start(server: Server, root: Path) -> subprocess.Popen[str]:
    command = [sys.executable, str(ROOT / "tests" / "llm_asker.py"), str(root), server.base_url]
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    return subprocess.Popen(
        [*command, str(COUNT), str(IN_FLIGHT)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )


def test_a_killed_process_pays_again_at_most_for_what_was_on_its_way(tmp_path):
    draw = random.Random(5)
    with serving(lambda asked: Answer(latency_s=draw.random() * 0.04)) as server:
        for _ in range(KILLS):
            process = start(server, tmp_path)
            until = server.paid.total() + draw.randrange(5, 50)
            while server.paid.total() < until and process.poll() is None:
                time.sleep(0.001)
            process.kill()
            process.wait()
            assert process.returncode == -9, "it ended before it could be killed"
            whole = len(Responses(Workspace(str(tmp_path)), "llm"))
            assert whole >= server.paid.total() - KILLS * IN_FLIGHT
        process = start(server, tmp_path)
        assert process.communicate(timeout=300)[0].strip() == str(COUNT)
        assert len(server.paid) == COUNT
        assert server.paid.total() <= COUNT + KILLS * IN_FLIGHT
        paid = server.paid.total()
        assert start(server, tmp_path).communicate(timeout=300)[0].strip() == str(COUNT)
        assert server.paid.total() == paid
    cents = Account(Workspace(str(tmp_path)), "llm", "toy").usd * 100
    assert paid <= cents <= COUNT + 2 * KILLS * (IN_FLIGHT + IN_FLIGHT // 8 + 1)
