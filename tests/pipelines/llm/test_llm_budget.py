"""Budgets hold at every moment: in any minute as the server counts it, in flight, and to the cent."""

from __future__ import annotations

import asyncio
import random
from decimal import Decimal

import pytest

from pipelines.core.workspace import Workspace
from pipelines.llm.account import Account, price
from pipelines.llm.budget import Budget, Clock
from pipelines.llm.request import Most
from schemas.endpoints import Endpoint
from schemas.errors import RunStopped


class Hours(Clock):
    """A clock that runs as fast as it is waited for."""

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds
        await asyncio.sleep(0)


def budget(root, **settings) -> Budget:
    endpoint = Endpoint(base_url="http://x", model="m", **settings)
    return Budget("toy", endpoint, Account(Workspace(str(root)), "llm", "toy"), Hours())


async def visit(into: Budget, tokens: int, draw: random.Random, arrivals: list[tuple[float, int]]) -> None:
    """Enter, arrive within a second of that as networks will, be answered, and leave."""
    ticket = await into.enter(tokens, Decimal(0))
    arrivals.append((into.clock.now() + draw.random(), tokens))
    for _ in range(draw.randrange(4)):
        await asyncio.sleep(0)
    await into.clock.sleep(draw.random() * 0.3)
    await into.leave(ticket, tokens, Decimal(0))


def most_in_a_minute(arrivals: list[tuple[float, int]]) -> tuple[int, int]:
    windows = [[n for at, n in arrivals if start <= at < start + 60] for start, _ in arrivals]
    return max(map(len, windows)), max(map(sum, windows))


@pytest.mark.parametrize("seed", range(3))
def test_no_minute_holds_more_requests_or_tokens_than_may_be(tmp_path, seed):
    arrivals: list[tuple[float, int]] = []

    async def crowd() -> None:
        draw = random.Random(seed)
        into = budget(tmp_path, requests_per_minute=60, tokens_per_minute=5000, in_flight=16)
        await asyncio.gather(*(visit(into, draw.randrange(1, 300), draw, arrivals) for _ in range(400)))

    asyncio.run(crowd())
    requests, tokens = most_in_a_minute(arrivals)
    assert len(arrivals) == 400
    assert requests <= 60
    assert tokens <= 5000
    assert requests > 25 or tokens > 4000  # the limits are used, not only kept


def test_a_request_above_the_tokens_of_a_minute_waits_until_it_is_alone(tmp_path):
    async def two() -> tuple[float, float, float]:
        into = budget(tmp_path, tokens_per_minute=100)
        times = []
        for tokens in (60, 1000, 1):
            await into.leave(await into.enter(tokens, Decimal(0)), None, None)
            times.append(into.clock.now())
        return tuple(times)

    assert asyncio.run(two()) == (0.0, 61.0, 122.0)


def test_what_an_answer_came_to_takes_the_place_of_what_was_reckoned(tmp_path):
    async def three() -> float:
        into = budget(tmp_path, tokens_per_minute=100)
        for _ in range(3):
            await into.leave(await into.enter(90, Decimal(0)), 5, None)
        return into.clock.now()

    assert asyncio.run(three()) == 0.0


def test_a_server_that_asks_to_wait_is_waited_for_by_all(tmp_path):
    async def pause() -> float:
        into = budget(tmp_path)
        into.pause(7.5)
        await into.enter(1, Decimal(0))
        return into.clock.now()

    assert asyncio.run(pause()) == 7.5


def test_dollars_in_flight_are_held_so_that_the_limit_is_never_passed(tmp_path):
    spent: list[Decimal] = []

    async def one(into: Budget, draw: random.Random) -> None:
        ticket = await into.enter(1, Decimal("0.10"))
        await asyncio.sleep(0)
        came_to = Decimal(draw.randrange(11)) / 100
        spent.append(came_to)
        assert into.account.usd <= Decimal("1.00")
        await into.leave(ticket, 1, came_to)

    async def crowd() -> list[object]:
        into = budget(tmp_path, max_usd=1.0, usd_per_million_in=1.0, usd_per_million_out=1.0)
        draw = random.Random(1)
        return await asyncio.gather(*(one(into, draw) for _ in range(60)), return_exceptions=True)

    stops = [outcome for outcome in asyncio.run(crowd()) if outcome is not None]
    assert all(isinstance(stop, RunStopped) for stop in stops)
    assert "endpoints.toy.max_usd: " in str(stops[0])
    assert "raise max_usd and run the same command again" in str(stops[0])
    assert Decimal("0.90") < sum(spent) <= Decimal("1.00")
    assert Account(Workspace(str(tmp_path)), "llm", "toy").usd == sum(spent)


def test_one_that_gives_up_while_it_waits_gives_its_place_and_its_dollars_back(tmp_path):
    class Stuck(Hours):
        async def sleep(self, seconds: float) -> None:
            await asyncio.sleep(3600)

    async def give_up() -> Budget:
        into = budget(
            tmp_path, requests_per_minute=1, in_flight=2, max_usd=1.0, usd_per_million_in=1.0, usd_per_million_out=1.0
        )
        into.clock = Stuck()
        await into.leave(await into.enter(1, Decimal("0.5")), 1, Decimal("0.25"))
        waiting = asyncio.create_task(into.enter(1, Decimal("0.5")))
        await asyncio.sleep(0.05)
        assert into.account.usd == Decimal("0.75")
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        return into

    into = asyncio.run(give_up())
    assert into.account.usd == Account(Workspace(str(tmp_path)), "llm", "toy").usd == Decimal("0.25")
    assert into._seats._value == 2


def test_prices_are_exact():
    endpoint = Endpoint(
        base_url="http://x", model="m", usd_per_million_in=0.15, usd_per_million_out=0.6, usd_per_minute=0.006
    )
    assert price(endpoint, Most(1_000_000, 500_000, 90.0)) == Decimal("0.459")
    assert price(endpoint, Most(1, 0)) == Decimal("0.00000015")
