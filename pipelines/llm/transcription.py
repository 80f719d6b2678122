"""A sound whose words are wanted: what a transcription is asked with, and what of it is kept where words are withheld."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from pipelines.llm.request import AGAIN_TEMPERATURE, PER_MESSAGE, Media, Most, Request, Said
from pipelines.llm.texts import readable
from schemas.endpoints import Endpoint


@dataclass(frozen=True)
class Transcription(Request):
    """A sound whose words are wanted.

    Attributes:
        sound: what is sent.
        language: ISO 639 code, if it is known.
        timed: whether language and times are wanted too (``verbose_json``).
        withhold: keep the number of words, and no word.
        times: how often an unreadable answer was asked for again.
    """

    kind = "transcription"

    sound: Media
    language: str | None = None
    timed: bool = True
    withhold: bool = False
    times: int = 0

    def content(self) -> dict[str, Any]:
        """Return the sound's hash; what is withheld is another response, since it is kept otherwise."""
        again = {"times": self.times} if self.times else {}
        return {"sound": self.sound.canonical(), "withhold": self.withhold} | again

    def said(self, body: dict[str, Any]) -> Said | None:
        """Return the words, none where they are withheld; that nothing was said is an answer."""
        if self.withhold and "words_counted" in body and "text" not in body:
            return Said("", broken=bool(body.get("broken")))
        text = body.get("text")
        return Said(text, broken=bool(text.strip()) and not readable(text)) if isinstance(text, str) else None

    def parameters(self, endpoint: Endpoint) -> dict[str, Any]:
        """Return language, format and temperature."""
        warmth = max(endpoint.temperature or 0.0, AGAIN_TEMPERATURE) if self.times else endpoint.temperature
        found = {"language": self.language, "temperature": warmth, **endpoint.extra}
        known = {name: value for name, value in found.items() if value is not None}
        return known | {"response_format": "verbose_json" if self.timed else "json"}

    def wire(self, endpoint: Endpoint) -> dict[str, Any]:
        """Return the fields of the form."""
        kind = {"wav": "audio/wav", "flac": "audio/flac"}[self.sound.encoding]
        file = (f"sound.{self.sound.encoding}", self.sound.data, kind)
        return {"model": endpoint.model, "file": file, **self.parameters(endpoint)}

    def most(self, endpoint: Endpoint) -> Most:
        """Return a bound: the sound's own tokens and length."""
        tokens = round(self.sound.seconds * endpoint.tokens_per_second) + PER_MESSAGE
        return Most(tokens, endpoint.max_tokens, self.sound.seconds)

    def again(self) -> Transcription:
        """Return it with a temperature at which the model may say something else."""
        return replace(self, times=self.times + 1)

    def kept(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return the response, or where the words are withheld what may be known of them."""
        if not self.withhold:
            return body
        kept = {name: body.get(name) for name in ("language", "duration", "usage")}
        ends = [(each.get("start"), each.get("end")) for each in body.get("segments") or () if isinstance(each, dict)]
        said = self.said(body) or Said("")
        kept |= {"words_counted": len(said.text.split()), "broken": said.broken}
        return kept | {"segments": [{"start": start, "end": end} for start, end in ends]}
