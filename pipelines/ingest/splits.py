"""The maps of splits that adapters are given: a recipe's words, or the publisher's own with the recipe's on them."""

from __future__ import annotations


class Word(str):
    """A publisher's word for a split, which knows ours."""

    ours: str


class Asked(dict[str, str]):
    """A recipe's words for splits, which remembers what an adapter asked for.

    Attributes:
        asked: the publisher's splits that were asked for.
    """

    def __init__(self, splits: dict[str, str]) -> None:
        super().__init__(splits)
        self.asked: set[str] = set()

    def get(self, published: str, default: str | None = None) -> str | None:  # type: ignore[override]
        """Return our word for a publisher's split, else ``default``."""
        self.asked.add(published)
        return super().get(published, default)


class Verbatim(dict[str, str]):
    """A recipe's map of splits that gives adapters the publisher's word, with ours on it: one pass tells both."""

    def get(self, published: str, default: str | None = None) -> Word:  # type: ignore[override]
        """Return ``published``; its ``ours`` is what the recipe makes of it, else ``default``."""
        word = Word(published)
        word.ours = super().get(published, default or published)
        return word
