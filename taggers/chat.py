"""The seam to models that answer questions about a clip, over HTTP or in this process: what is asked and what comes back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from taggers.base import Model, Waveform


@dataclass(frozen=True, eq=False)
class Conversation:
    """Questions about one clip, asked one after the other; the model sees what it answered before.

    Attributes:
        turns: what is asked, at least one; the sound and the pictures go with the first.
        sound: what is to be listened to; None: nothing.
        pictures: JPEG files in order of time.
        system: what stands above the conversation; None: nothing.

    """

    turns: tuple[str, ...]
    sound: Waveform | None = None
    pictures: tuple[bytes, ...] = ()
    system: str | None = None

    def __post_init__(self) -> None:
        if not self.turns:
            raise ValueError("a conversation asks at least one question")


@dataclass(frozen=True)
class Answer:
    """The words of one turn. `cut`: they end where the limit of tokens was reached. `model`: as it names itself."""

    text: str
    model: str
    cut: bool = False


class NoAnswer(Exception):
    """A conversation that could not be had, for a reason that is its own: the clip is rejected, the others go on.

    Attributes:
        error: class of the error in one word, such as ``bad_request``, ``refused``, ``timed_out``.
        message: what was found, in words.

    """

    def __init__(self, error: str, message: str) -> None:
        super().__init__(f"{error}: {message}")
        self.error, self.message = error, message


@runtime_checkable
class Chat(Model, Protocol):
    """A model that answers questions about sounds."""

    def converse(self, batch: Sequence[Conversation]) -> list[list[Answer] | NoAnswer]:
        """Have each conversation: an answer per turn, or why there is none; in order, none depends on another."""
        ...
