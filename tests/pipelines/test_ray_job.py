"""``ray job submit`` on a head that was started here runs a job, passes its exit code on, and keeps to the token rule."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from kill import data_files
from pipelines.cli import main

ROOT = Path(__file__).parents[2]
RAY = Path(sys.executable).with_name("ray")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture(scope="module")
def head() -> Iterator[tuple[str, dict[str, str]]]:
    """Start a head with a token of its own; yield its job address and the environment that knows the token."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    environment |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    folder, dashboard = tempfile.mkdtemp(prefix="ej-"), free_port()
    command = [
        RAY,
        "start",
        "--head",
        "--block",
        "--port",
        str(free_port()),
        "--dashboard-host",
        "127.0.0.1",
        "--dashboard-port",
        str(dashboard),
        "--dashboard-agent-listen-port",
        str(free_port()),
        "--ray-client-server-port",
        str(free_port()),
        "--num-cpus",
        "2",
        "--object-store-memory",
        "200000000",
        "--temp-dir",
        folder,
        "--disable-usage-stats",
    ]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{dashboard}"
    try:
        for _ in range(60):
            ready = subprocess.run(
                [RAY, "job", "list", "--address", address],
                env=environment,
                capture_output=True,
                check=False,
                timeout=60,
            )
            if ready.returncode == 0:
                break
        else:
            pytest.fail("the head did not come up")
        yield address, environment
    finally:
        process.terminate()
        process.wait(timeout=60)
        shutil.rmtree(folder, ignore_errors=True)


def submit(head: tuple[str, dict[str, str]], *arguments: str) -> subprocess.CompletedProcess[str]:
    address, environment = head
    command = [
        RAY,
        "job",
        "submit",
        "--address",
        address,
        "--working-dir",
        ".",
        "--",
        sys.executable,
        "-m",
        "pipelines",
        *arguments,
    ]
    return subprocess.run(command, env=environment, capture_output=True, text=True, cwd=ROOT, timeout=300, check=False)


def test_a_submitted_job_makes_the_bytes_of_an_inline_run(head, small_recipe, tmp_path):
    assert main(["run", str(small_recipe), "--out", str(tmp_path / "inline"), "--engine", "inline", "--quiet"]) == 0
    found = submit(head, "run", str(small_recipe), "--out", str(tmp_path / "job"))
    assert found.returncode == 0, found.stdout[-3000:] + found.stderr[-3000:]
    assert "finished and sealed" in found.stdout
    assert data_files(tmp_path / "job") == data_files(tmp_path / "inline")
    assert main(["verify", str(tmp_path / "job")]) == 0


def test_a_mistake_in_a_submitted_job_is_one_line_and_fails_the_job(head, small_recipe):
    found = submit(head, "run", str(small_recipe), "--out", "runs/lost")
    assert found.returncode != 0
    assert "give an absolute path on a shared disk" in found.stdout + found.stderr
    assert "exit code 2" in found.stdout + found.stderr


def test_without_the_token_the_head_refuses(head):
    address, environment = head
    stranger = {k: v for k, v in environment.items() if k != "RAY_AUTH_TOKEN"} | {
        "RAY_AUTH_TOKEN": secrets.token_hex(32)
    }
    found = subprocess.run(
        [RAY, "job", "list", "--address", address],
        env=stranger,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert found.returncode != 0
