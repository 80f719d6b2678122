"""The protocol as a real server speaks it: `transformers serve` with a tiny model of random weights, asked by the stage itself."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from asked_clips import SPEECH, clips, heard, serve

from pipelines.core.stage import Batch, Context
from pipelines.core.workspace import Workspace
from pipelines.listen.ask import Ask
from schemas import endpoints

for needed in ("fastapi", "uvicorn", "torch"):
    pytest.importorskip(needed, reason=f"transformers serve needs {needed}: pip install 'transformers[serving]'")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Return the address of a server and the model that it serves."""
    from tiny_qwen2_audio import tiny_qwen2_audio

    model = tiny_qwen2_audio(tmp_path_factory.mktemp("model"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", str(model), "--device", "cpu"]
    offline = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([*command, "--host", "127.0.0.1", "--port", str(port)], env=offline)
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5)
                break
            except urllib.error.HTTPError:
                break
            except OSError:
                assert process.poll() is None, "the server ended"
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/v1", model
    finally:
        process.terminate()
        process.wait(30)


def test_a_real_server_understands_what_the_stage_asks_and_is_understood(server, tmp_path):
    url, model = server
    context = Context(Workspace(str(tmp_path)), ".", 0, 1)
    place = endpoints.Endpoint(base_url=url, model=str(model), max_tokens=8, in_flight=2, structured="json_schema")
    batch = Batch(clips(context.workspace, 3, 0.5), {"evidence": heard({"c000": [SPEECH]})})
    result = serve(Ask(endpoints.Ask(name="alm", endpoint="tiny"), place), batch, context)
    assert {reject.error for reject in result.rejects} <= {"unreadable"}
    assert {row["kind"] for row in result.rows} == {"answer"}
    ledger = "".join(path.read_text() for path in (tmp_path / "llm").glob("responses-*"))
    assert '"tokens_out":null' not in ledger
