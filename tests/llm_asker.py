"""A process that asks a server many questions, so that a test can kill it: ``python llm_asker.py FOLDER URL COUNT IN_FLIGHT``."""

from __future__ import annotations

import sys
from pathlib import Path

from llm_server import ask_all, question

from schemas.endpoints import Endpoint


def place(url: str, in_flight: int) -> Endpoint:
    """Return the endpoint: ten tokens of an answer are a cent, and the most that one may cost are two."""
    return Endpoint(
        base_url=url, model="toy", in_flight=in_flight, max_usd=100.0, max_tokens=20,
        usd_per_million_in=0.0, usd_per_million_out=1000.0,
    )  # fmt: skip


if __name__ == "__main__":
    root, url, count, in_flight = sys.argv[1:]
    replies = ask_all(Path(root), place(url, int(in_flight)), [question(f"q{number}") for number in range(int(count))])
    print(len(replies))
