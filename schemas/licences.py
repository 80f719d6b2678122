"""Licences: what publishers write, as one of a few names, and what several of them forbid together.

They tell what the publisher's own words allow in a dataset's pieces: to cut a clip out, to mix it, to pass that on. It is no
legal advice, and a name is no grant: the words themselves stay beside it, in ``licence_text``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

LICENCES: dict[str, str] = {
    "cc0": "public domain, or waived into it (CC0, Public Domain Mark, PDDL)",
    "by": "credit (CC BY)",
    "by-sa": "credit, pass on under the same licence (CC BY-SA)",
    "sampling+": "credit, the whole recording may not be sold, nothing may advertise (CC Sampling Plus)",
    "by-nc": "credit, no commercial use (CC BY-NC)",
    "by-nc-sa": "credit, no commercial use, pass on under the same licence (CC BY-NC-SA)",
    "by-nd": "credit, nothing changed may be passed on, and an excerpt or a mixture is changed (CC BY-ND)",
    "by-nc-nd": "credit, no commercial use, nothing changed may be passed on (CC BY-NC-ND)",
    "academic": "research, teaching or personal use alone; nothing may be passed on",
    "unknown": "not told, or in words that are none of these: not free",
}
"""Normalised name -> what it asks for, from the least to the most restrictive."""

COMMERCIAL = frozenset({"cc0", "by", "by-sa"})
"""Licences under which an excerpt, a mixture and a shard of them may be made, passed on and sold.

Sampling Plus is not one: a mixture of it may be sold, but a caption shard may hold the whole recording.
"""

_FORBIDS = {
    "cc0": "",
    "by": "b",  # to give no credit
    "by-sa": "bs",  # to add terms to its own
    "sampling+": "bw",  # to sell the whole
    "by-nc": "bwc",  # to sell anything
    "by-nc-sa": "bwcn",  # to add terms to its own, which are not those of by-sa
    "by-nd": "bsd",  # to pass on what is changed
    "by-nc-nd": "bwcnsd",
    "academic": "bwcnsda",
    "unknown": "bwcnsdau",
}
"""What each licence forbids, a letter each. The common part of two sets is a set too, so that several have one least upper bound."""

_URL = re.compile(r"(?:https?://)?(?:www\.)?creativecommons\.org/(?:licen[cs]es|publicdomain)/([a-z+-]+)[^\s,;)>\]]*")
_CODES = tuple(
    (re.compile(spelling), f" {code} ")
    for spelling, code in (
        (r"creative[ _-]?commons", "cc"),
        (r"attribution", "by"),
        (r"non[ _-]?commercial", "nc"),
        (r"no[ _-]?deriv(?:ative)?s?(?:[ _-]works?)?", "nd"),
        (r"share[ _-]?alike", "sa"),
        (r"\bsampling(?: ?\+|[ _-]plus\b)", "sampling+"),
        (r"\bcc[ _-]*(?:0|zero|mark|pddc|pdm|publicdomain)\b|\bpublic[ _-]?domain\b|^(?:pddl|pdm)\b", "cc0"),
    )
)
"""Words -> the codes of Creative Commons, after which ``CC BY-NC 3.0`` and ``Attribution NonCommercial 3.0`` are alike."""

_PARTS = frozenset({"by", "nc", "nd", "sa"})
_UNDERSTOOD = re.compile(
    r"by|nc|nd|sa|cc|cc0|sampling\+|v?[1-4](?:\.[0-5])?|deed|dedication|generic|igo|international|mark|universal|unported"
    r"|version|licen[cs]ed?|a|an|and|are|available|is|of|or|released|terms|the|this|under|work"
)
_ACADEMIC = re.compile(
    r"\bremarc\b|(?:(?<!not )\bfor| nc) (?:academic|research|education|scientific)|^ (?:academic|research)$"
    r"|(?<!not for )\b(?:academic|research|educational|scientific) (?:use|purpose|licen[cs]e|only)"
)


@lru_cache(4096)
def normalise(published: str | None) -> str:
    """Return the name in :data:`LICENCES` of a licence as publishers write it: a URL, a name or an abbreviation.

    Every word must be understood, or else it is ``unknown``: a guess would be a promise, and the word "by" stands before
    every author. What names several is as restrictive as all of them. Known, and yet ``unknown`` on purpose, are

    - licences of software (MIT, BSD, Apache, GPL): they ask that their own notice goes along, which no credit line does;
    - ODC-By and ODbL, which license a database and, by their own words, not what it holds; PDDL waives both;
    - CC Sampling 1.0, under which a whole recording may not be passed on at all;
    - "non-commercial" without a licence, which does not tell whether anything may be changed or passed on.
    """
    text = (published or "").strip().lower()
    if text in LICENCES:
        return text
    text = _URL.sub(r" cc \1 ", text)
    for spelling, code in _CODES:
        text = spelling.sub(code, text)
    words = [word.strip(".") for word in re.findall(r"[^\W_][\w.+]*|\?", text.replace("_", " "))]
    found = {"academic"} if _ACADEMIC.search(" ".join(["", *words])) else set()
    if all(map(_UNDERSTOOD.fullmatch, words)):
        found |= _granted(words)
    return most_restrictive(found)


def _granted(words: list[str]) -> set[str]:
    found, parts = {"cc0", "sampling+"} & set(words), _PARTS & set(words)
    if parts and (found or "cc" in words or words[0] == "by"):
        name = "-".join(["by", *(part for part in ("nc", "nd", "sa") if part in parts)])
        # There is no such thing as share-alike for what may not be changed.
        found.add(name if name in LICENCES else name.removesuffix("-sa"))
    return found


def most_restrictive(licences: Iterable[str]) -> str:
    """Return what binds a work that is made of works under these normalised licences: more, it may be, than each alone.

    It is the least restrictive name that forbids all that any of them forbids; ``unknown`` where one is, and for none.
    Share-alike beside non-commercial, and no-derivatives beside anything, may not be passed on combined: the name is then
    one with ``nd``. Source: Creative Commons, Frequently Asked Questions, "Can I combine material under different Creative
    Commons licenses in my work?", the chart.

    Raises:
        KeyError: a name that is none of :data:`LICENCES`.
    """
    forbidden = set("".join([_FORBIDS[licence] for licence in licences] or [_FORBIDS["unknown"]]))
    return next(name for name, letters in _FORBIDS.items() if forbidden <= set(letters))
