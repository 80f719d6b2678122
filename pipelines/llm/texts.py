"""Whether an answer can be read at all."""

from __future__ import annotations

import unicodedata

_BROKEN = frozenset({"Cc", "Cs", "Cn", "Co"})
"""Unicode's categories of control characters, halves of pairs, and code points without a meaning."""

_SPACES = frozenset("\n\r\t")


def readable(text: str) -> bool:
    """Say whether a text has a letter or a digit, and nothing that only a broken decoder writes.

    U+FFFD, control characters (the C1 range is what UTF-8 read as Latin-1 leaves), lone surrogates and unassigned code points
    are broken; "!!!!", which some servers give for one item of a batch, has no letter.
    """
    if not any(character.isalnum() for character in text):
        return False
    return not any(
        character == "\ufffd" or (unicodedata.category(character) in _BROKEN and character not in _SPACES)
        for character in text
    )


def one_line(text: str, most: int = 200, secret: str | None = None) -> str:
    """Return a text of somebody else's as one line of at most ``most`` characters, fit for a message; never with ``secret``."""
    if secret:
        text = text.replace(secret, "***")
    shown = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return shown if len(shown) <= most else shown[: most - 3] + "..."
