"""The query check: words fit what they ask for, and nothing that is in its way."""

from __future__ import annotations

import csv
import re
from collections import Counter
from pathlib import Path

import pytest

from pipelines.mix.query import check_query, classes_in, fits
from schemas.ontology import default_ontology

DOG, BARK, CAT, SPEECH, MALE, RAIN, MUSIC, POP, SILENCE = (
    "/m/0bt9lr", "/m/05tny_", "/m/01yrx", "/m/09x0r", "/m/05zppz", "/m/06mb1", "/m/04rlf", "/m/064t9", "/m/028v0c",
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "target", "interferer", "verdict"),
    [
        ("A dog barks while rain falls.", [BARK], [SPEECH], "matched"),
        ("A dog.", [BARK], [SPEECH], "matched"),  # above the label
        ("A dog barks.", [DOG], [SPEECH], "matched"),  # below it
        ("A dog barks while a man speaks.", [BARK], [SPEECH], "names_interferer"),
        ("A dog barks while a man speaks.", [BARK], [MALE], "names_interferer"),
        ("Somebody speaks.", [SPEECH], [MALE], "names_interferer"),  # conflict, though the target is named too
        ("A dog barks.", [RAIN], [SPEECH], "names_other"),
        ("It goes on and on.", [RAIN], [SPEECH], "unknown"),
        ("No dog, only rain.", [DOG], [SPEECH], "names_other"),
        ("Then there is silence.", [DOG], [SPEECH], "unknown"),
        ("Music plays.", [POP], [SPEECH], "matched"),  # joined by an abstract heading alone
        ("rain", [], [SPEECH], "names_other"),
        ("rain", [RAIN], [], "matched"),
    ],
)
def test_words_are_checked_against_what_they_ask_for_and_what_is_in_its_way(text, target, interferer, verdict):
    assert check_query(text, target, interferer) == verdict


def test_a_class_that_the_ontology_does_not_have_is_named():
    with pytest.raises(KeyError, match="/m/nothing"):
        check_query("rain", ["/m/nothing"], [])


def test_what_is_said_is_a_set_of_classes_without_silence():
    assert default_ontology().class_ids(classes_in("A cat, then silence, then rain")) == tuple(sorted((CAT, RAIN)))
    assert fits(0, [RAIN]) == "unknown"


def test_of_the_published_audiocaps_pairs_a_quarter_of_the_queries_names_a_class_of_the_noise(shared):
    """The list of AudioSep: labels are AudioSet's names in one text, and the noise is another clip of the list."""
    labels, rows = audiocaps(shared)
    told = Counter(check_query(row["caption"], labels[row["src_wav"]], labels[row["noise_wav"]]) for row in rows)
    assert len(rows) == 4820
    assert told["unknown"] / len(rows) < 0.01
    assert 0.23 < told["names_interferer"] / len(rows) < 0.26
    assert told["matched"] / len(rows) > 0.64


def test_of_the_audiocaps_captions_most_fit_the_labels_of_their_own_clips(shared):
    labels, rows = audiocaps(shared)
    own = Counter(check_query(row["caption"], labels[row["src_wav"]], []) for row in rows)
    assert own["matched"] / len(rows) > 0.84
    assert own["names_interferer"] == 0


def audiocaps(shared: Path) -> tuple[dict[str, list[str]], list[dict[str, str]]]:
    """Return the classes of each clip of the list by its file, and the list's rows."""
    folder = shared / "lass/audiosep_eval"
    with (folder / "class_labels_indices.csv").open(newline="") as lines:
        known = {row["display_name"]: row["mid"] for row in csv.DictReader(lines)}
    name = re.compile("|".join(re.escape(each) for each in sorted(known, key=len, reverse=True)))
    with (folder / "audiocaps_eval.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    return {row["src_wav"]: [known[each] for each in name.findall(row["labels"])] for row in rows}, rows
