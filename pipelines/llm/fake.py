"""``earloom serve-fake``: a server without a model, for dry runs: same questions, same answers, at a pace and with faults as told."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import math
import random
import re
from collections import Counter, deque
from typing import Any

from pipelines.llm.fake_batches import Batches
from pipelines.llm.serving import Answer, Asked, Http, error
from schemas.errors import UserError

MODEL = "fake"
"""The model that stands in the list of models; any other name is answered too."""

MOST_NAMED = 3
"""Labels of a prompt that an answer names."""

_WORDS = ("hum", "rustle", "clatter", "murmur", "splash", "rumble", "chirp", "hiss", "thud", "whistle")
_TAGGED = re.compile(r"<([a-z_]+)(?: (\d+))?>(.*?)</\1>", re.DOTALL)
_LABEL = re.compile(r"^[^:\n]*: |[,;|\n]", re.MULTILINE)
_KEY = re.compile(r'"([A-Za-z_]\w*)"')
_CLAIMS = re.compile(r"<claims>\n(.*?)\n</claims>", re.DOTALL)
_FORM = re.compile(r"\bJSON\b")

_PASSING = (
    error(500, "server_error", "a fault that was asked for"),
    error(429, "rate_limit_exceeded", "a limit that was asked for", retry_after="1"),
    error(503, "overloaded", "a fault that was asked for", retry_after_ms="200"),
    Answer(fault="reset"),
    Answer(fault="cut_short"),
    Answer(fault="no_json"),
    Answer(""),
)
"""What goes wrong: each passes when the request is sent again, or asked for again where the answer is empty."""


class Fake(Http):
    """The server: chat completions, transcriptions, models, files and batches.

    What a request is answered is a function of its content; whether it fails, of that, the seed, and how often it came before.

    Args:
        latency_s: seconds until an answer is sent.
        requests_per_minute: most that are served in any minute; others are turned away with 429 and Retry-After.
        faults: share of the requests that fail, in [0, 1].
        seed: of the faults.
    """

    def __init__(
        self, latency_s: float = 0.0, requests_per_minute: int | None = None, faults: float = 0.0, seed: int = 0
    ) -> None:
        super().__init__(self._served)
        self.latency_s, self.limit, self.faults, self.seed = latency_s, requests_per_minute, faults, seed
        self.batches = Batches(self)
        self.told: Counter[str] = Counter()
        """How many were served, failed and turned away, and the tokens of those that were served."""
        self._served_at: deque[float] = deque()

    def said(self, asked: Asked) -> Answer:
        """Return the list of models, what belongs to files and batches, or an answer."""
        if asked.path.endswith("/models"):
            return Answer(body={"object": "list", "data": [{"id": MODEL, "object": "model", "owned_by": "earloom"}]})
        if (answer := self.batches.said(asked)) is not None:
            return answer
        if not asked.path.endswith(("/chat/completions", "/audio/transcriptions")):
            return error(404, "", f"there is no {asked.path} here")
        if (wait_s := self._wait(asked.at)) > 0:
            self.told["turned away"] += 1
            return error(
                429, "rate_limit_exceeded", "too many requests in a minute", retry_after=str(math.ceil(wait_s))
            )
        draw = random.Random(f"{self.seed} {asked.what} {asked.same}")
        if draw.random() < self.faults:
            self.told["failed"] += 1
            return draw.choice(_PASSING)
        return self.script(asked)

    def _served(self, asked: Asked) -> Answer:
        try:
            answer = answer_of(asked, self.latency_s)
        except (KeyError, TypeError, AttributeError, IndexError) as problem:
            return error(400, "invalid_request_error", f"no such request is known here ({problem!r})")
        used = answer.usage or (0, 0)
        self.told += Counter({"served": 1, "tokens in": used[0], "tokens out": used[1]})
        return answer

    def _wait(self, now: float) -> float:
        """Return the seconds until one more may be served; count this one where it may be at once."""
        if self.limit is None:
            return 0.0
        while self._served_at and self._served_at[0] + 60.0 <= now:
            self._served_at.popleft()
        if len(self._served_at) >= self.limit:
            return self._served_at[0] + 60.0 - now
        self._served_at.append(now)
        return 0.0


def answer_of(asked: Asked, latency_s: float = 0.0) -> Answer:
    """Return the answer to a chat completion or a transcription: the same to equal ones, fit to be read as what was asked for.

    A chat is answered with a sentence that names the first labels that stand in its last message between tags, a numbered line
    for each pair of tags with a number; where there are none, with one that is drawn by the message's hash. Where JSON is asked
    for (``response_format``, or the prompt says JSON and names keys in double quotes), the sentence stands under every key. A judge of
    claims cannot tell.
    Tokens are reckoned as four bytes each.
    """
    if asked.path.endswith("/audio/transcriptions"):
        return _transcript(asked, latency_s)
    content = sentence(asked.text)
    wanted = asked.body.get("response_format") or {}
    if claims := _CLAIMS.search(asked.text):
        told = range(1, len(claims[1].splitlines()) + 1)
        content = json.dumps({f"claim_{number}": "cannot tell" for number in told})
    elif "json_schema" in wanted:
        content = json.dumps(_fitting(wanted["json_schema"]["schema"], content))
    elif (wanted or _FORM.search(asked.text)) and (keys := _KEY.findall(asked.text)):
        content = json.dumps(dict.fromkeys(keys, content))
    elif wanted:
        content = json.dumps({"answer": content})
    most = asked.body.get("max_completion_tokens") or asked.body.get("max_tokens") or math.inf
    tokens_in, tokens_out = _tokens(json.dumps(asked.body["messages"])), _tokens(content)
    if tokens_out > most:
        cut = content.encode()[: 4 * int(most)].decode(errors="ignore")
        return Answer(cut, latency_s=latency_s, usage=(tokens_in, int(most)), finish="length")
    return Answer(content, latency_s=latency_s, usage=(tokens_in, tokens_out))


def sentence(prompt: str) -> str:
    """Return one sentence about what a prompt holds, or one for each of the numbered things that it holds."""
    blocks = _TAGGED.findall(prompt)
    if numbered := [(number, data) for _, number, data in blocks if number]:
        return "\n".join(f"{number}. {sentence(f'<clip>{data}</clip>')}" for number, data in numbered)
    labels: list[str] = []
    for _, _, data in blocks:
        for label in _LABEL.split(data):
            words = [
                word for word in re.findall(r"[\w'.-]+", label.lower()) if not re.search(r"\d", word) and word != "s"
            ]
            if words and " ".join(words) not in labels:
                labels.append(" ".join(words))
    if not labels:
        draw = random.Random(prompt)
        first, second = draw.sample(_WORDS, 2)
        return f"There is a {first} and a {second}, {hashlib.sha256(prompt.encode()).hexdigest()[:8]}."
    named = labels[:MOST_NAMED]
    listed = f"{', '.join(named[:-1])} and {named[-1]}" if named[1:] else named[0]
    return f"There is {listed}."


def _transcript(asked: Asked, latency_s: float) -> Answer:
    draw = random.Random(asked.what)
    text = " ".join(draw.choice(_WORDS) for _ in range(6)).capitalize() + "."
    body: dict[str, Any] = {"text": text}
    if asked.body.get("response_format") == "verbose_json":
        segments = [{"id": 0, "start": 0.0, "end": 1.0, "text": text}]
        body |= {"language": "english", "duration": 1.0, "segments": segments}
    tokens_in, tokens_out = _tokens(asked.body["file"]), _tokens(text)
    counts = {"input_tokens": tokens_in, "output_tokens": tokens_out, "total_tokens": tokens_in + tokens_out}
    usage = {"type": "tokens", **counts}
    return Answer(body=body | {"usage": usage}, latency_s=latency_s, usage=(tokens_in, tokens_out))


def _fitting(schema: dict[str, Any], text: str) -> Any:
    """Return a value that a JSON schema takes, with ``text`` as every string of it."""
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type", "string")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        return {name: _fitting(inner, text) for name, inner in schema.get("properties", {}).items()}
    if kind == "array":
        return [_fitting(schema.get("items", {}), text)]
    return {"string": text, "integer": 1, "number": 1.0, "boolean": True}.get(kind)


def _tokens(content: str | bytes) -> int:
    return max(1, len(content.encode() if isinstance(content, str) else content) // 4)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``earloom serve-fake``."""
    parser.add_argument("--port", type=int, default=8900, help="0: a free one, which is printed")
    parser.add_argument("--latency", type=float, default=0.2, metavar="SECONDS", help="until an answer is sent")
    parser.add_argument("--requests-per-minute", type=int, metavar="N", help="turn more away; none if not given")
    parser.add_argument("--faults", type=float, default=0.0, metavar="SHARE", help="of the requests that fail, 0 to 1")
    parser.add_argument("--seed", type=int, default=0, help="of the faults")


def main(options: argparse.Namespace) -> int:
    """Serve until Ctrl-C; then say what was served. Raises UserError for an argument or a port that will not do."""
    if not 0 <= options.port <= 65535:
        raise UserError(f"--port {options.port}: must be 0 to 65535")
    if not 0 <= options.faults <= 1:
        raise UserError(f"--faults {options.faults}: must be 0 to 1")
    if not 0 <= options.latency < math.inf:
        raise UserError(f"--latency {options.latency}: must be 0 or more")
    if options.requests_per_minute is not None and options.requests_per_minute < 1:
        raise UserError(f"--requests-per-minute {options.requests_per_minute}: must be at least 1")
    fake = Fake(options.latency, options.requests_per_minute, options.faults, options.seed)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(fake, options.port))
    print(", ".join(f"{name} {count:,}" for name, count in fake.told.items()) or "nothing was asked")
    return 0


async def _serve(fake: Fake, port: int) -> None:
    try:
        server = await fake.listen(port)
    except OSError as problem:
        raise UserError(f"--port {port}: cannot be served ({problem.strerror}); name another") from None
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    print(f"base_url: {url}, model: {MODEL}; stop it with Ctrl-C", flush=True)
    async with server:
        await server.serve_forever()
