"""The stage that looks at captions as text alone: can this be a caption, whatever is heard?"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

from pipelines.core.stage import Batch, Context, Result, Stage
from pipelines.refine import judged
from pipelines.refine.judged import WRITES, Of
from schemas.ontology import Ontology, default_ontology

SCORER, REVISION = "texts", "texts-1"

MOST_WORDS = 60
"""Words of a caption at most: AudioSetCaps bids its writer keep to 50, and Clotho's longest has 20."""

SAME_WORDS = 5
"""So many words in a row stand twice in no caption that says something new each time."""

WORDS_OF_A_SENTENCE = 10
"""Words from which on English has one of its commonest. Measured: 19 of Clotho's 29,645 captions fail a check, 9 of them this one."""

_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_ENGLISH = frozenset(
    {"a", "an", "the", "and", "or", "of", "with", "while", "then", "is", "are", "be", "can", "in", "on", "at", "as", "by", "to", "for",
     "from", "out", "up", "down", "over", "after", "before", "about", "followed", "some", "several", "its", "it"}
)  # fmt: skip
_ENGLISH_ALONE = frozenset({"the", "and", "with", "while", "then", "are", "of", "followed", "by"})
"""English words that are hardly words of another language in Latin letters."""
_TALK = re.compile(
    r"^\s*(?:sure|certainly|here (?:is|are)|caption|output|answer|as an ai|i cannot|i can't|failure)\b", re.I
)
_MARKUP = re.compile(r"https?://|[<>{}\[\]|\\*#`]|[\x00-\x1f\x7f]")


@dataclass(frozen=True)
class TextChecks(Stage):
    """Stage ``texts``: captions -> scores, the share of the checks passed, with those that failed, in words, as ``unsupported``.

    Checks: length (1 to :data:`MOST_WORDS` words); banned words; a label's name or id verbatim where it is no English
    ("Chirp, tweet", "crackling_fire", "/m/05tny_"); repetition (a word three times in a row, or :data:`SAME_WORDS` in
    a row that stand twice); language, where it is told (English is Latin letters with one of its commonest words, if the
    caption has :data:`WORDS_OF_A_SENTENCE` or more; another language has not two of these); readable (no markup, no link, no control
    character, no answer to a prompt in place of a caption). What a check needs and does not have, it passes.

    These say nothing of whether a caption is true: the gate does not learn from them, and refuses what fails one.

    Args:
        banned: words and phrases that may not stand in a caption, in any case.
        of: the table whose captions are judged.
        round: the round that they were written in.
        writers: the stages that wrote them; empty: all.
    """

    banned: tuple[str, ...] = ()
    of: Of = "candidates"
    round: int = 1
    writers: tuple[str, ...] = ()

    key = "candidate_id"
    out_key = "candidate_id"
    batch_rows = 1024

    @property
    def name(self) -> str:  # type: ignore[override]
        """The stage's name."""
        return judged.stage_name("texts", self.of, self.round)

    @property
    def reads(self) -> tuple[str, ...]:  # type: ignore[override]
        """The captions, and the names of their clips' labels."""
        return (self.of, "evidence")

    @property
    def writes(self) -> str:  # type: ignore[override]
        """The table of scores."""
        return WRITES[self.of]

    def revisions(self) -> dict[str, str]:
        """The checks' revision."""
        return {SCORER: REVISION}

    def reads_from(self) -> dict[str, tuple[str, ...]]:
        """The captions that are judged."""
        return judged.written_by(self.of, self.writers)

    def process(self, batch: Batch, context: Context) -> Result:
        """Serve rows of captions."""
        evidence, ontology, result = batch.grouped("evidence", "clip_id"), default_ontology(), Result()
        for caption in batch.rows.to_pylist():
            labels = [item for item in evidence[caption["clip_id"]] if item["kind"] in ("tag", "event")]
            names = {name for item in labels for name in label_names(item, ontology)}
            failed = failures(caption["text"], self.banned, names, caption.get("language"))
            result.rows.append(
                {
                    "candidate_id": caption["candidate_id"],
                    "clip_id": caption["clip_id"],
                    "scorer": SCORER,
                    "revision": REVISION,
                    "score": round(1.0 - len(failed) / CHECKS, 4),
                    "claims": None,
                    "supported": None,
                    "unsupported": failed,
                    "evidence_ids": [],
                }
            )
        return result


CHECKS = 6


def label_names(item: dict[str, Any], ontology: Ontology) -> set[str]:
    """Return the names and ids of a label that are no plain English, as they would stand in a caption that copies them."""
    class_id = item["class_id"]
    names = {item["name"], class_id or ""} | ({ontology[class_id].name} if class_id in ontology else set())
    return {name for name in names if re.search(r"[,_/()&]", name)}


def failures(text: str, banned: tuple[str, ...], labels: set[str], language: str | None) -> list[str]:
    """Return the checks that a caption fails, in words.

    Args:
        text: the caption.
        banned: words and phrases that may not stand in it.
        labels: names of labels that are no English, as :func:`label_names` gives them.
        language: what it is asked to be written in (BCP 47); None: not told.
    """
    words = [word.lower() for word in _WORD.findall(text)]
    lower = f" {' '.join(words)} "
    out = []
    if not 1 <= len(words) <= MOST_WORDS:
        out.append(f"length: {len(words)} words")
    if found := sorted(word for word in banned if f" {' '.join(_WORD.findall(word.lower()))} " in lower):
        out.append(f"banned: {', '.join(found)}")
    if leaked := sorted(name for name in labels if name.lower() in text.lower()):
        out.append(f"label: {leaked[0]}")
    if twice := _repeated(words):
        out.append(f"repetition: {twice}")
    if wrong := _language(text, words, language):
        out.append(f"language: {wrong}")
    if found_ := _MARKUP.search(text.strip()) or _TALK.search(text):
        out.append(f"readable: {found_[0].strip()!r}")
    return out


def _repeated(words: list[str]) -> str | None:
    for a, b, c in zip(words, words[1:], words[2:], strict=False):
        if a == b == c:
            return f"{a} {a} {a}"
    runs = Counter(zip(*(words[n:] for n in range(SAME_WORDS)), strict=False))
    return next((" ".join(run) for run, count in runs.items() if count > 1), None)


def _language(text: str, words: list[str], language: str | None) -> str | None:
    if language is None or not words:
        return None
    letters = [letter for letter in text if letter.isalpha()]
    latin = sum(letter.isascii() for letter in letters) >= 0.9 * len(letters)
    if language.split("-")[0].lower() == "en":
        if not latin:
            return "not in Latin letters"
        return "no English" if len(words) >= WORDS_OF_A_SENTENCE and _ENGLISH.isdisjoint(words) else None
    return f"English, not {language}" if latin and len(_ENGLISH_ALONE & set(words)) >= 2 else None
