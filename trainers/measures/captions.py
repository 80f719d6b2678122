"""Measures of captions against those that people wrote, through pycocoevalcap: BLEU, METEOR, CIDEr-D, SPICE, SPIDEr; higher is better.

The extra ``captions`` brings the package, which carries Stanford's tokeniser and METEOR 1.5 as Java programs: a Java runtime must
be installed. SPICE needs Stanford CoreNLP 3.6.0 besides, which the package would fetch by itself when it is first asked: here it is
not asked before that lies where it looks for it. Nothing is downloaded. Every measure is of tokenised texts: lower
case, Penn Treebank tokens, without punctuation.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from schemas.errors import UserError

Floats = NDArray[np.float64]
References = Sequence[Sequence[str]]

ORDER = 4
"""Longest n-gram of BLEU and CIDEr-D."""

CORENLP = ("stanford-corenlp-3.6.0.jar", "stanford-corenlp-3.6.0-models.jar")
"""What SPICE needs and the package does not carry; both are in stanford-corenlp-full-2015-12-09.zip."""


def tokenised(texts: Sequence[str]) -> list[str]:
    """Return texts as Stanford's PTBTokenizer 3.4.1 cuts them, in lower case, without punctuation, a space between two tokens.

    Brackets stay, as ``-lrb-`` and the like: the package lets them, and so do the numbers that are published.

    Raises:
        UserError: the package or Java is not installed.
        RuntimeError: the tokeniser failed, or did not give as many texts as it was given.
    """
    tokenizer = _package("tokenizer") / "stanford-corenlp-3.4.1.jar"
    if not texts:
        return []
    from pycocoevalcap.tokenizer.ptbtokenizer import PUNCTUATIONS

    # A line is a text: one that holds a line end of any kind would shift all that follow.
    lines = "\n".join(" ".join(text.split()) for text in texts) + "\n"
    command = ["java", "-Dfile.encoding=UTF-8", "-cp", str(tokenizer), "edu.stanford.nlp.process.PTBTokenizer"]
    options = ["-preserveLines", "-lowerCase", "-encoding", "utf-8"]
    done = subprocess.run([*command, *options], input=lines.encode(), capture_output=True)
    out = done.stdout.decode().split("\n")[:-1]
    if done.returncode or len(out) != len(texts):
        words = (done.stderr.decode(errors="replace").strip().splitlines() or ["no message"])[-1]
        raise RuntimeError(f"the tokeniser made {len(out)} of {len(texts)} texts: {words[:200]}")
    return [" ".join(word for word in line.split() if word not in PUNCTUATIONS) for line in out]


def bleu_counts(candidates: Sequence[str], references: References) -> Floats:
    """Return what BLEU is made of, per caption: guessed and right n-grams of 1 to 4 words, own and nearest reference's length.

    Args:
        candidates: captions to judge.
        references: of each, what people wrote, one at least.

    Returns:
        Shape (captions, 10).

    Raises:
        ValueError: there are not references for each.
        UserError: the package or Java is not installed.
    """
    own, true = _both(candidates, references)
    from pycocoevalcap.bleu.bleu_scorer import BleuScorer

    scorer = BleuScorer(n=ORDER)
    for text, others in zip(own, true, strict=True):
        scorer += (text, others)
    rows = [
        [
            *made["guess"],
            *made["correct"],
            made["testlen"],
            min((abs(n - made["testlen"]), n) for n in made["reflen"])[1],
        ]
        for made in scorer.ctest
    ]
    return np.array(rows, dtype=np.float64).reshape(-1, 2 * ORDER + 2)


def bleu(counts: ArrayLike) -> float:
    """Return corpus BLEU-4, in [0, 1], higher is better (Papineni et al., ACL 2002), of rows that :func:`bleu_counts` made.

    The geometric mean of the precisions of n-grams over the whole set, times ``exp(1 - r / c)`` where the captions' length c falls
    short of the nearest references' r. A set without one right 4-gram scores 0; NaN without captions.
    """
    total = np.asarray(counts, dtype=np.float64).sum(axis=0)
    guessed, right, (length, wanted) = total[:ORDER], total[ORDER : 2 * ORDER], total[2 * ORDER :]
    if wanted == 0:
        return float("nan")
    if not right.all():
        return 0.0
    return float(np.exp(np.log(right / guessed).mean() + min(0.0, 1 - wanted / length)))


def meteor_counts(candidates: Sequence[str], references: References) -> Floats:
    """Return what METEOR is made of, per caption: the 23 counts of its best alignment, which add up over captions.

    Arguments and errors as in :func:`bleu_counts`. The first call loads a table of paraphrases, which takes up to 2 GB, and ten
    seconds or more.
    """
    own, true = _both(candidates, references)
    asked = _meteor()
    # Three bars part METEOR's fields, and the package takes them from the captions alone.
    plain = [[text.replace("|", " ") for text in (one, *others)] for one, others in zip(own, true, strict=True)]
    rows = [[float(count) for count in asked._stat(one, others).split()] for one, *others in plain]
    return np.array(rows, dtype=np.float64).reshape(len(own), -1)


def meteor(counts: ArrayLike) -> float:
    """Return corpus METEOR 1.5, English, normalised, in [0, 1], higher is better (Denkowski and Lavie, 2014).

    It is reckoned from the sum of all alignments' counts, as the caption challenges do, not as a mean over captions.

    Args:
        counts: rows that :func:`meteor_counts` made.

    Returns:
        NaN without captions.
    """
    rows = np.asarray(counts, dtype=np.float64)
    if not len(rows):
        return float("nan")
    asked = _meteor()
    line = " ".join(["EVAL |||", *(str(count) for count in rows.sum(axis=0))])
    asked.meteor_p.stdin.write(f"{line}\n".encode())
    asked.meteor_p.stdin.flush()
    answered = [asked.meteor_p.stdout.readline() for _ in range(2)]  # of the one row, and of all
    return float(answered[1])


def cider(candidates: Sequence[str], references: References) -> Floats:
    """Return CIDEr-D of each caption, in [0, 10], higher is better (Vedantam et al., CVPR 2015): what papers call CIDEr.

    The mean over n = 1 to 4 and over references of the cosine of clipped tf-idf vectors of n-grams, times a Gaussian of the
    difference in length (sigma 6), times 10; papers print it, or a hundredfold of it. Words are weighed by how many of the set's
    clips have them in their references, so the whole set is given at once; a set of one clip scores 0. Arguments and errors as in
    :func:`bleu_counts`.
    """
    own, true = _both(candidates, references)
    from pycocoevalcap.cider.cider_scorer import CiderScorer

    scorer = CiderScorer(n=ORDER)
    for text, others in zip(own, true, strict=True):
        scorer += (text, others)
    return np.asarray(scorer.compute_score()[1] if own else [], dtype=np.float64)


def spice(candidates: Sequence[str], references: References) -> Floats:
    """Return SPICE of each caption, in [0, 1], higher is better (Anderson et al., ECCV 2016): F1 of the tuples of scene graphs.

    Raises:
        UserError: Stanford CoreNLP is not where the package looks for it, or the package or Java is not installed.
    """
    check_spice()
    own, true = _both(candidates, references)
    from pycocoevalcap.spice.spice import Spice

    # Keys are sorted as they are given back.
    keys = [f"{number:09d}" for number in range(len(own))]
    _, scores = Spice().compute_score(
        dict(zip(keys, true, strict=True)), {key: [text] for key, text in zip(keys, own, strict=True)}
    )
    return np.array([each["All"]["f"] for each in scores], dtype=np.float64)


def spider(candidates: Sequence[str], references: References) -> Floats:
    """Return SPIDEr of each caption, in [0, 5.5], higher is better (Liu et al., ICCV 2017): the mean of CIDEr-D and SPICE.

    Arguments and errors as in :func:`cider` and :func:`spice`.
    """
    check_spice()
    return (cider(candidates, references) + spice(candidates, references)) / 2


def check_spice() -> None:
    """Raise UserError where SPICE cannot be had, before anything runs."""
    folder = _package("spice/lib")
    if missing := [name for name in CORENLP if not (folder / name).is_file()]:
        raise UserError(
            f"captions: SPICE and SPIDEr need {missing[0]} (Stanford CoreNLP 3.6.0, GPL), which is fetched by hand: unpack "
            "stanford-corenlp-full-2015-12-09.zip of nlp.stanford.edu and put it into spice/lib of the package pycocoevalcap"
        )


def _package(folder: str) -> Path:
    """Return a folder of the package; UserError where it, or Java, is not installed."""
    spec = find_spec("pycocoevalcap")
    if spec is None or not spec.submodule_search_locations:
        raise UserError("captions: the package of their measures is not installed: pip install 'earloom[captions]'")
    if shutil.which("java") is None:
        raise UserError(
            "captions: their tokeniser, METEOR and SPICE are Java programs; install a Java runtime (`java`)"
        )
    return Path(next(iter(spec.submodule_search_locations))) / folder


def _both(candidates: Sequence[str], references: References) -> tuple[list[str], list[list[str]]]:
    """Return all texts tokenised, in one call of the tokeniser."""
    if len(candidates) != len(references) or not all(references):
        raise ValueError(
            f"{len(candidates)} captions need as many lists of references, none empty; {len(references)} are given"
        )
    if any(isinstance(others, str) for others in references):
        raise ValueError("the references of a caption are a list of texts, not one text")
    made = iter(tokenised([*candidates, *(text for others in references for text in others)]))
    return [next(made) for _ in candidates], [[next(made) for _ in others] for others in references]


@cache
def _meteor() -> Any:
    """Return METEOR's process, begun once."""
    _package("meteor")
    from pycocoevalcap.meteor.meteor import Meteor

    return Meteor()
