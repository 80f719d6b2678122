"""The recipe's endpoints: servers that answer over HTTP, what may be asked of them and spent on them, and who asks."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from schemas.errors import UserError
from schemas.ids import canonical_json
from schemas.section import Name, Seconds, Section

_OURS = frozenset(
    {"model", "messages", "file", "seed", "temperature", "max_tokens", "max_completion_tokens"}
) | frozenset({"response_format", "stream", "n", "language"})
"""Parameters that `extra` may not hold."""

_SECRETS = re.compile(r"api-?key|authori[sz]ation|secret|password|credential|bearer|access-?token|auth-?token", re.I)
_SECRET_NAMES = frozenset({"key", "token", "headers", "extra-headers"})
"""What names of parameters say that they hold a key, with `-` for `_`; a recipe is kept beside the data and published."""

_SECRET_WORDS = re.compile(r"(?i:bearer)\s|(?:sk|gsk|hf|xai)[-_]\w{16,}")

_SOUND_RATE: Any = Field(16000, ge=8000, le=48000, description="samples per second of the sound that is sent")
_ENCODING: Any = Field("wav", description="how the sound is sent; flac is half as large, and not every server reads it")


class Endpoint(Section):
    """One server that speaks OpenAI's protocol: hosted, or vLLM, SGLang or the like of one's own.

    A price that is not given is taken for nothing: a server of one's own costs no dollars.
    """

    base_url: str = Field(pattern=r"^https?://\S+$", description="as its documents give it; mostly it ends in /v1")
    model: str = Field(min_length=1, description="the model's name on that server")
    key_env: str | None = Field(
        None,
        pattern=r"^[A-Z][A-Z0-9_]*$",
        description="name of the environment variable that holds the key, never the key; not given: none is sent",
    )
    in_flight: int = Field(32, ge=1, le=4096, description="most requests that wait for an answer at once")
    requests_per_minute: int | None = Field(None, ge=1, description="most requests in any minute")
    tokens_per_minute: int | None = Field(None, ge=1, description="most tokens in any minute, in and out together")
    usd_per_million_in: float | None = Field(None, ge=0, description="dollars per million tokens of a request")
    usd_per_million_out: float | None = Field(None, ge=0, description="dollars per million tokens of an answer")
    usd_per_minute: float | None = Field(None, ge=0, description="dollars per minute of sound that is transcribed")
    max_usd: float | None = Field(
        None, ge=0, description="most dollars that may be spent, with all that was paid before in that folder"
    )
    transport: Literal["online", "batch"] = Field(
        "online",
        description="batch: requests are gathered and sent as files to /batches, which answers within a day and may cost less; "
        "the prices are those given here, in_flight and the limits per minute do not hold; one run at a time uses its responses",
    )
    poll_s: Seconds = Field(
        60.0, description="seconds between two looks at a batch, and without a newcomer until one is sent"
    )
    timeout_s: Seconds = Field(120.0, description="seconds until one request is given up")
    deadline_s: Seconds = Field(300.0, description="seconds until a request that fails is no longer sent again")
    max_tokens: int = Field(512, ge=1, description="most tokens of one answer")
    limit: Literal["max_tokens", "max_completion_tokens"] = Field(
        "max_tokens", description="what the server calls that limit; OpenAI's newer models know the second name alone"
    )
    temperature: float | None = Field(0.0, ge=0, le=2, description="null: none is sent, the server's own holds")
    seed: int | None = Field(0, description="sent with each request; null: none is")
    structured: Literal["none", "json_object", "json_schema"] = Field(
        "none", description="what the server can be held to where fields are asked for"
    )
    extra: dict[str, Any] = Field({}, description="further parameters, sent as they stand, e.g. {top_p: 0.9}")
    tokens_per_second: float = Field(
        50.0,
        gt=0,
        description="most tokens that a second of sound takes; budgets reckon with it before an answer tells",
    )
    tokens_per_picture: int = Field(2000, ge=1, description="most tokens that a picture takes, likewise")
    responses: str | None = Field(
        None,
        pattern=r"^(/|~/|[a-z0-9]+://)",
        description="folder, by its whole path or as a URL, whose llm/ several runs share, with what they spent; not given: the "
        "run folder",
    )

    @field_validator("base_url")
    @classmethod
    def _url(cls, value: str) -> str:
        try:
            parts = urlsplit(value)
            port = parts.port  # what it says is looked at when it is asked for
        except ValueError as error:
            raise ValueError(f"is no URL ({error})") from None
        if not parts.hostname or port == 0:
            raise ValueError("names no server")
        if parts.username is not None or parts.password is not None:
            raise ValueError("holds a name or a key before the @; name the key's environment variable in key_env")
        if parts.query or parts.fragment:
            raise ValueError("goes on after ? or #; give the part before it")
        return value

    @field_validator("extra")
    @classmethod
    def _others(cls, value: dict[str, Any]) -> dict[str, Any]:
        if taken := sorted(value.keys() & _OURS):
            raise ValueError(f"{taken[0]} is not set here; it has a setting of its own, or is Earloom's to set")
        for name, each in value.items():
            try:
                json.dumps(each, allow_nan=False, sort_keys=True)
            except (TypeError, ValueError) as error:
                raise ValueError(f"{name} holds what JSON cannot ({error}); put a text in quotes") from None
            if secret := _secret_in({name: each}):
                raise ValueError(f"{secret} looks like a key; name its environment variable in key_env")
        return value

    @model_validator(mode="after")
    def _priced(self) -> Endpoint:
        by_token = self.usd_per_million_in is not None and self.usd_per_million_out is not None
        if self.max_usd is not None and not by_token and self.usd_per_minute is None:
            raise ValueError("max_usd needs the prices; give usd_per_million_in and _out, or usd_per_minute")
        return self

    def identity(self) -> dict[str, Any]:
        """Return what determines the answers: not where the server is, its key, its limits or its prices."""
        return self.model_dump(include={"max_tokens", "temperature", "seed", "structured", "extra"})

    def same_as(self) -> str:
        """Return all of it as one string, equal for equal endpoints."""
        return canonical_json(self.model_dump())


def _secret_in(value: Any) -> str | None:
    """Return the name, at any depth, under which a secret seems to stand."""
    if isinstance(value, dict):
        for name, inner in value.items():
            plain = str(name).replace("_", "-")
            if _SECRETS.search(plain) or plain.lower() in _SECRET_NAMES:
                return str(name)
            if isinstance(inner, str) and _SECRET_WORDS.match(inner):
                return str(name)
            if found := _secret_in(inner):
                return found
    if isinstance(value, list):
        return next((found for inner in value if (found := _secret_in(inner))), None)
    return None


class Gate(Section):
    """What must have been heard for a question to be asked: one of these classes, or a class below one."""

    classes: list[str] = Field(min_length=1, description="names or ids of classes of the ontology")
    at_least: float = Field(
        0.3, ge=0, le=1, description="least confidence of a listener; a publisher's label is enough"
    )


class Ask(Section):
    """Questions about each clip, for a model behind an endpoint that hears sounds or sees pictures."""

    name: Name = Field(max_length=40, description="the model's name in the tables; the stage is ask_<name>")
    endpoint: str = Field(description="one of `endpoints`")
    chain: str = Field("prompts/audiosetcaps_listen.yaml", description="file of questions, relative to configs/")
    attach: Literal["sound", "pictures"] = Field("sound", description="what of the clip goes with the first question")
    sample_rate: int = _SOUND_RATE
    encoding: Literal["wav", "flac"] = _ENCODING


class Transcribe(Section):
    """What is said in each clip, by a speech recogniser behind an endpoint."""

    endpoint: str = Field(description="one of `endpoints`; it must offer /audio/transcriptions")
    privacy: Literal["quote", "summarise", "withhold"] = Field(
        "withhold",
        description="quote: the words are kept; summarise: what another endpoint makes of them is; withhold: only the "
        "language and the number of words are, and the words reach no file",
    )
    gate: Literal["always"] | Gate = Field(Gate(classes=["Speech"]), description="which clips are transcribed")
    language: str | None = Field(None, pattern=r"^[a-z]{2,3}$", description="ISO 639 code; null: the model finds out")
    timed: bool = Field(True, description="false: the server knows no verbose_json; language and times stay unknown")
    summariser: str | None = Field(None, description="one of `endpoints`, for privacy: summarise")
    summary: str = Field("prompts/summarise_speech.yaml", description="its prompt, relative to configs/")
    sample_rate: int = _SOUND_RATE
    encoding: Literal["wav", "flac"] = _ENCODING

    @model_validator(mode="after")
    def _summarised(self) -> Transcribe:
        if (self.privacy == "summarise") != (self.summariser is not None):
            raise ValueError("privacy: summarise and summariser go together; give both or neither")
        return self


class Judge(Section):
    """A language model that says of each claim of a caption whether what is known of the clip supports it."""

    endpoint: str = Field(description="one of `endpoints`")
    prompt: str = Field("prompts/judge.yaml", description="file of the prompt, relative to configs/")


def endpoint_of(endpoints: Mapping[str, Endpoint], name: str, key: str) -> Endpoint:
    """Return the endpoint of a name; UserError if there is none, with ``key`` as the place that named it."""
    if name in endpoints:
        return endpoints[name]
    near = difflib.get_close_matches(name, endpoints, 1)
    known = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(endpoints) or 'none'}"
    raise UserError(f"{key}: no endpoint is named {name!r}; {known}")
