"""Whether a text is in the language that was asked for, as far as letters and little words tell."""

from __future__ import annotations

import re
import unicodedata

SCRIPTS: dict[str, tuple[str, ...]] = {
    "ar": ("ARABIC",), "bg": ("CYRILLIC",), "bn": ("BENGALI",), "el": ("GREEK",), "fa": ("ARABIC",), "he": ("HEBREW",),
    "hi": ("DEVANAGARI",), "ja": ("CJK", "HIRAGANA", "KATAKANA"), "ka": ("GEORGIAN",), "ko": ("HANGUL",), "mr": ("DEVANAGARI",),
    "ru": ("CYRILLIC",), "ta": ("TAMIL",), "te": ("TELUGU",), "th": ("THAI",), "uk": ("CYRILLIC",), "ur": ("ARABIC",),
    "zh": ("CJK",),
}  # fmt: skip
"""Beginnings of the names of letters, by language (BCP 47's first part); the other languages are written in Latin letters."""

LITTLE: dict[str, frozenset[str]] = {
    language: frozenset(words.split())
    for language, words in {
        "de": "der die das ein eine einen einem einer und ist sind mit von dem den im auf während dann",
        "en": "the a an and is are of with while then in the background followed by some someone",
        "es": "el la los las un una unos unas y es son con de del en mientras luego por se",
        "fr": "le la les un une des et est sont avec du de dans pendant puis au aux qui",
        "it": "il lo la gli le un una e è sono con di del della nel mentre poi che",
        "nl": "de het een en is zijn met van in op terwijl dan er die",
        "pt": "o a os as um uma e é são com de do da no na enquanto depois ao",
    }.items()
}
"""Words that nearly every sentence of a language has."""

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_DENSE = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff]")

LATIN_SHARE = 0.8
"""Least share of letters that are of the language's script; a loan word is no other language."""


def count_words(text: str) -> int:
    """Return the number of words; of scripts without spaces (Chinese, Japanese, Thai) two letters count as one."""
    dense = len(_DENSE.findall(text))
    return len(re.findall(r"[^\W_]+(?:['’.-][^\W_]+)*", _DENSE.sub(" ", text))) + (dense + 1) // 2


def is_in(text: str, language: str) -> bool:
    """Say whether a text may be in a language (BCP 47); what cannot be told is taken for it.

    Its letters must be of the language's script. Of the languages in :data:`LITTLE`, another one whose little words stand in
    the text twice or more, where none of its own does, gives it away.
    """
    first = language.partition("-")[0].lower()
    letters = [unicodedata.name(c, "") for c in text if c.isalpha()]
    wanted = SCRIPTS.get(first, ("LATIN",))
    if letters and sum(name.startswith(wanted) for name in letters) < LATIN_SHARE * len(letters):
        return False
    if first not in LITTLE:
        return True
    words = [word.lower() for word in _WORD.findall(text)]
    known = {each: sum(word in little for word in words) for each, little in LITTLE.items()}
    return known[first] > 0 or max(known.values()) < 2
