"""How near the client comes to the rate that latency and in_flight allow, and what a request costs it of a processor.

    python benchmarks/llm.py [--in-flight 64] [--latency 0.2] [--seconds 15] [--rounds 3]

`earloom serve-fake` answers in a process of its own. The possible rate is in_flight / latency. CPU is that of the client's
process: building the request, its key, the wire, the ledger with its fsync, and where `--priced` the account's too. The floor is
a bare loop of aiohttp in turns with it, which posts and reads the same bytes and keeps nothing: what the machine gives at the time.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import aiohttp

from pipelines.core.workspace import Workspace
from pipelines.llm.chat import Chat
from pipelines.llm.request import Message
from pipelines.llm.service import Service
from schemas.endpoints import Endpoint

ROOT = Path(__file__).resolve().parents[1]
LINES = " ".join(f"<event>sound number {number}, from {number}.0 to {number}.9 s</event>" for number in range(12))
"""Evidence of about the length that a caption is written from."""


def question(number: int) -> Chat:
    system = "You describe recordings for people who cannot hear them. " * 8
    return Chat((Message("system", (system,)), Message("user", (f"Clip {number}: {LINES} Write one caption.",))))


def measured(url: str, options: argparse.Namespace) -> tuple[float, float]:
    """Ask as many questions as the time allows; return answers per second and CPU milliseconds per answer."""
    count = int(options.in_flight / options.latency * options.seconds)
    prices = {"usd_per_million_in": 1.0, "usd_per_million_out": 1.0, "max_usd": 1e6} if options.priced else {}
    place = Endpoint.model_validate({"base_url": url, "model": "fake", "in_flight": options.in_flight, **prices})
    with tempfile.TemporaryDirectory(prefix="earloom-llm-") as folder:
        service = Service()
        client = service.client("fake", place, Workspace(folder))
        service.start(client, [partial(client.ask, question(-1 - n)) for n in range(options.in_flight)]).results()
        began, cpu = time.perf_counter(), time.process_time()
        replies = service.start(client, [partial(client.ask, question(number)) for number in range(count)]).results()
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    service.close()
    if failed := [reply for reply in replies if isinstance(reply, Exception)]:
        raise SystemExit(f"{len(failed)} failed, the first: {failed[0]}")
    return count / seconds, 1000 * cpu / count


async def floor(url: str, options: argparse.Namespace) -> tuple[float, float]:
    """Post as many bodies with nothing around it; return answers per second and CPU milliseconds per answer."""
    count = int(options.in_flight / options.latency * options.seconds)
    left = iter(range(count))
    place = Endpoint(base_url=url, model="fake")
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def one() -> None:
            for number in left:
                async with session.post(f"{url}/chat/completions", json=question(number).wire(place)) as response:
                    await response.read()

        began, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(one() for _ in range(options.in_flight)))
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    return count / seconds, 1000 * cpu / count


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--latency", type=float, default=0.2, metavar="SECONDS")
    parser.add_argument("--seconds", type=float, default=15.0, help="that a round would take at the possible rate")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--priced", action="store_true", help="with prices and max_usd, so that the account is kept too"
    )
    options = parser.parse_args()
    command = [sys.executable, "-m", "pipelines", "serve-fake", "--port", "0", "--latency", str(options.latency)]
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    url = server.stdout.readline().split()[1].rstrip(",")
    possible = options.in_flight / options.latency
    heads = (
        "in flight | latency, s | possible/s | reached/s | share | CPU ms per request | floor/s | floor's CPU ms | load"
    )
    print(f"| {heads} |\n|" + "---|" * 9, flush=True)
    try:
        for _ in range(options.rounds):
            bare, bare_cpu = asyncio.run(floor(url, options))
            rate, cpu = measured(url, options)
            print(
                f"| {options.in_flight} | {options.latency} | {possible:.0f} | {rate:.1f} | {rate / possible:.1%} | {cpu:.2f} "
                f"| {bare:.1f} | {bare_cpu:.2f} | {os.getloadavg()[0]:.1f} |",
                flush=True,
            )
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
