"""The words of a caption, counted as the catalogue counts them."""

from __future__ import annotations

import re
import unicodedata

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")


def words(text: str) -> list[str]:
    """Return the words of a text in lower case: runs of letters and digits, apostrophes inside them.

    They are those of :func:`pipelines.catalog.captions.words`, whose module loads Apache Beam.
    """
    return _WORD.findall(unicodedata.normalize("NFC", text).lower().replace("’", "'"))
