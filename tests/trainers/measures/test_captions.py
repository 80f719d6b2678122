"""Measures of captions are those of the package whose programs they run, and nothing is fetched for them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from schemas.errors import UserError
from trainers.measures import captions
from trainers.measures.captions import bleu, bleu_counts, cider, meteor, meteor_counts, spice, spider, tokenised
from trainers.measures.registry import MEASURES

installed = pytest.mark.skipif(
    captions.find_spec("pycocoevalcap") is None or shutil.which("java") is None, reason="needs pycocoevalcap and Java"
)

CANDIDATES = [
    "A dog barks while birds sing in the distance.",
    "Rain falls on a tin roof.",
    "A man is speaking over loud music",
]
REFERENCES = [
    ["A dog is barking and birds sing in the distance", "Birds sing while a dog barks."],
    ["Rain is falling heavily on a metal roof.", "Heavy rain falls on a roof", "It rains."],
    ["Music plays and a man speaks."],
]


@installed
def test_texts_are_cut_into_lower_case_tokens_without_punctuation() -> None:
    """Brackets stay, as the package lets them: it looks for them in capitals."""
    told = tokenised(["It's LOUD (very), isn't it?", "", "two  lines\nor\u2028more\x85here", "Ein Kätzchen – miaut"])
    assert told == ["it 's loud -lrb- very -rrb- is n't it", "", "two lines or more here", "ein kätzchen miaut"]
    assert tokenised([]) == []


@installed
def test_bleu_is_the_packages_corpus_score_of_its_own_counts() -> None:
    from pycocoevalcap.bleu.bleu import Bleu

    own, true = captions._both(CANDIDATES, REFERENCES)
    expected, _ = Bleu(4).compute_score(dict(enumerate(true)), {n: [text] for n, text in enumerate(own)}, verbose=0)
    counts = bleu_counts(CANDIDATES, REFERENCES)
    assert counts.shape == (3, 10)
    assert bleu(counts) == pytest.approx(expected[3], rel=1e-6)
    assert 0 < bleu(counts) < 1
    assert bleu(bleu_counts([REFERENCES[1][1]], [REFERENCES[1]])) == 1
    assert bleu(bleu_counts(["cats", ""], [["Dogs bark."], ["Rain."]])) == 0
    assert np.isnan(bleu(bleu_counts([], [])))


@installed
def test_cider_is_the_packages_and_depends_on_the_set() -> None:
    from pycocoevalcap.cider.cider import Cider

    own, true = captions._both(CANDIDATES, REFERENCES)
    _, expected = Cider().compute_score(dict(enumerate(true)), {n: [text] for n, text in enumerate(own)})
    np.testing.assert_allclose(cider(CANDIDATES, REFERENCES), expected)
    copied = cider([own[0] for own in REFERENCES], REFERENCES)
    assert copied[2] == pytest.approx(10)
    np.testing.assert_array_equal(cider(CANDIDATES[:1], REFERENCES[:1]), [0])
    assert len(cider([], [])) == 0


@pytest.mark.slow
@installed
def test_meteor_adds_up_to_the_packages_score_of_the_set() -> None:
    barred = [["A bar ||| is | quiet", "A fence"], ["A bar is quiet", "A fence"]]
    counts = meteor_counts([*CANDIDATES, "||| a | bar", "a bar"], [*REFERENCES, *barred])
    own, true = captions._both(CANDIDATES, REFERENCES)
    whole, each = captions._meteor().compute_score(dict(enumerate(true)), {n: [text] for n, text in enumerate(own)})
    assert meteor(counts[:3]) == pytest.approx(whole)
    np.testing.assert_allclose([meteor(counts[n : n + 1]) for n in range(3)], each)
    np.testing.assert_array_equal(counts[3], counts[4])
    assert np.isnan(meteor(counts[:0]))
    found = MEASURES["meteor"].summary(counts)
    low, high = found["ci95"]
    assert low <= found["value"] <= high
    captions._meteor.cache_clear()


@installed
def test_spice_is_refused_before_the_package_would_fetch_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(captions, "CORENLP", ("stanford-corenlp-none.jar",))
    for measure in (spice, spider):
        with pytest.raises(UserError, match="SPICE and SPIDEr need stanford-corenlp-none.jar .* fetched by hand"):
            measure(CANDIDATES, REFERENCES)


@installed
def test_spider_is_the_mean_of_both_where_corenlp_is_installed() -> None:
    try:
        captions.check_spice()
    except UserError as error:
        pytest.skip(str(error))
    both = (cider(CANDIDATES, REFERENCES) + spice(CANDIDATES, REFERENCES)) / 2
    np.testing.assert_allclose(spider(CANDIDATES, REFERENCES), both)


def test_what_is_not_installed_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(captions, "find_spec", lambda name: None)
        with pytest.raises(UserError, match=r"pip install 'earloom\[captions\]'"):
            bleu_counts(CANDIDATES, REFERENCES)
    if captions.find_spec("pycocoevalcap") is None:
        pytest.skip("needs pycocoevalcap")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="install a Java runtime"):
        cider(CANDIDATES, REFERENCES)


@pytest.mark.parametrize("references", [[["one"]], [["one"], []]])
def test_every_caption_has_references(references: list[list[str]]) -> None:
    with pytest.raises(ValueError, match="2 captions need as many lists of references, none empty"):
        bleu_counts(["a", "b"], references)
    with pytest.raises(ValueError, match="a list of texts, not one text"):
        bleu_counts(["a"], ["b"])
