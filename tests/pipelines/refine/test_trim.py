"""Stage ``trim``: where nothing is accepted, unsupported clauses go; what is accepted or published stays as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipelines.core.stage import Batch, Context, Result, conserve
from pipelines.core.workspace import Workspace
from pipelines.listen.evidence import evidence_row
from pipelines.refine.trim import Trim
from pipelines.unify.names import default_index
from pipelines.unify.stage import classes_of
from schemas import tables

CLIPS = ("d-1", "d-2")


def filled(table: str, **given: Any) -> dict[str, Any]:
    """Return a row: what is given, and else null, or the empty value of the column's type."""
    empty = {"string": "", "int64": 0, "double": 0.0}
    return {f.name: None if f.nullable else empty.get(str(f.type), []) for f in tables.schema(table)} | given


def trimmed(root: Path, texts: dict[str, str], accepted: tuple[str, ...] = (), **fields: Any) -> Result:
    """Return what becomes of candidates, id -> text, of two clips that are labelled with a dog's bark."""
    evidence = [evidence_row(clip, "publisher", "1", 0, kind="tag", name="Bark") for clip in CLIPS]
    classes = [row for item in evidence for row in classes_of(item["clip_id"], "d", [item], default_index())]
    given = {"language": "en", "method": "writer", "usd": 0.5, "tokens_in": 9.0, **fields}
    rows = {
        "clips": [filled("clips", clip_id=clip, dataset="d") for clip in CLIPS],
        "evidence": evidence,
        "classes": classes,
        "candidates": [
            filled("candidates", candidate_id=key, clip_id=key[:3], text=text, **given) for key, text in texts.items()
        ],
        "verdicts": [
            filled("verdicts", candidate_id=key, clip_id=key[:3], decision="accepted" if key in accepted else "refused")
            for key in texts
        ],
    }
    made = {name: tables.from_rows(name, each) for name, each in rows.items()}
    batch, result = Batch(made.pop("clips"), made), Result()
    for piece in batch.slices(1):  # rows that are served apart share what is grouped
        result.extend(Trim(3).process(piece, Context(Workspace(str(root)), str(root), 1, 1)))
    conserve(Trim(3), list(CLIPS), result)
    tables.from_rows("candidates", result.rows)
    return result


def test_what_is_unsupported_goes_and_costs_nothing(tmp_path: Path) -> None:
    result = trimmed(tmp_path, {"d-1:w:0": "A dog barks while a cat meows.", "d-2:w:0": "A dog barks."})
    (row,) = result.rows
    assert (row["candidate_id"], row["text"]) == ("d-1:w:0:trimmed", "A dog barks.")
    assert (row["round"], row["method"], row["usd"], row["tokens_in"]) == (3, "writer", None, None)
    assert result.drops == [("d-2", "nothing_to_trim")]


def test_a_clip_with_an_accepted_caption_is_left_alone(tmp_path: Path) -> None:
    texts = {"d-1:w:0": "A dog barks while a cat meows.", "d-1:w:1": "A dog barks.", "d-2:w:0": "A cat meows."}
    result = trimmed(tmp_path, texts, accepted=("d-1:w:1",))
    assert not result.rows
    assert result.drops == [("d-1", "good_enough"), ("d-2", "nothing_to_trim")]


def test_words_that_are_proposed_already_are_not_proposed_again(tmp_path: Path) -> None:
    texts = {
        "d-1:w:0": "A dog barks while a cat meows.",
        "d-1:w:1": "A dog barks as a cow moos.",
        "d-2:w:0": "A dog barks while a cat meows.",
        "d-2:w:1": "A dog barks.",
    }
    assert [row["candidate_id"] for row in trimmed(tmp_path, texts).rows] == ["d-1:w:0:trimmed"]


def test_what_was_published_stays_as_it_was_published(tmp_path: Path) -> None:
    texts = {"d-1:published:0": "A dog barks while a cat meows."}
    assert not trimmed(tmp_path, texts, method="published", language=None).rows


def test_other_languages_are_not_read(tmp_path: Path) -> None:
    assert not trimmed(tmp_path, {"d-1:w:0": "A dog barks while a cat meows."}, language="de").rows
