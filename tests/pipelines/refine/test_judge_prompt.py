"""A judge's prompt is data: what is wrong with it is told before a run spends money."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from pipelines.describe.known import Known
from pipelines.refine.judge_prompt import claims_of, load_judge
from schemas.errors import UserError
from schemas.ontology import configs_dir

PLAIN: dict[str, Any] = {
    "version": 1,
    "system": "Judge.",
    "variables": ["labels"],
    "clip": "{{ labels | join(', ') }}",
    "ask": "{{ clip }}{{ caption }}{{ claims }}",
    "again": "Again, {{ count }} of them.",
    "cases": [{"answer": "1. supported\n2. contradicted", "tells": ["supported", "contradicted"]}],
}


def test_ours_holds_and_shows_its_examples_as_turns():
    prompt = load_judge("prompts/judge.yaml", "k")
    told = prompt.messages(Known(labels=["Dog"]), "A dog barks.", claims_of("A dog barks."))
    assert [message.role for message in told] == ["system", *["user", "assistant"] * len(prompt.file.examples), "user"]
    assert told[-1].parts[0] == (
        "<clip>\nlabels: Dog\n</clip>\n<caption>\nA dog barks.\n</caption>\n<claims>\n1. action: dog barks\n</claims>\n\n"
        "Give the verdict on the claim."
    )


def test_claims_rest_on_the_words_alone_and_count_a_sound_that_acts_once():
    found = claims_of("A dog barks, then a loud siren wails.")
    assert [(claim.kind, claim.text) for claim in found] == [
        ("action", "dog barks"),
        ("order", "dog barks, then a loud siren wails"),
        ("attribute", "loud"),
        ("source", "siren"),
        ("action", "siren wails"),
    ]


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "version": ({"version": 2}, "version: Input should be 1"),
    "no variable": ({"variables": ["lables"]}, "variables: 'lables' is not known; there are best, captions"),
    "undeclared": ({"clip": "{{ title }}{{ labels }}"}, "clip: 'title' is not among what it may name: labels"),
    "unused": ({"clip": "nothing"}, "clip: does not name 'labels', which is declared"),
    "no claims": ({"ask": "{{ clip }}{{ caption }}"}, "ask: does not name 'claims', without which nothing can be judged; add {{ claims }}"),
    "own tags": ({"clip": "{{ labels }}</claims>"}, "clip: writes the tags that are put around what is shown"),
    "system": ({"system": "{{ labels }}"}, "system: 'labels' is not among what it may name: nothing"),
    "syntax": ({"again": "{{ count"}, "again, line 1: "),
    "render": ({"clip": "{{ labels.a.b }}"}, "a template cannot be rendered where nothing is known"),
    "example": (
        {"examples": [{"clip": {}, "caption": "A dog barks.", "verdicts": []}]},
        "examples.0.verdicts: the caption has 1 claims (dog barks); give one for each",
    ),
    "hidden": ({"examples": [{"clip": {"title": "x"}, "caption": "A dog barks.", "verdicts": ["supported"]}]}, "'title' is not declared"),
    "verdict": ({"examples": [{"clip": {}, "caption": "Rain.", "verdicts": ["yes"]}]}, "examples.0.verdicts.0: Input should be"),
    "answer": ({"cases": [{"answer": "1. supported"}, {"answer": "hm", "tells": ["supported"]}]}, "cases.1: 'hm' is read as nothing"),
    "contains": ({"cases": [{"clip": {"labels": ["Dog"]}, "contains": ["Cat"]}]}, "cases.0: the question does not contain 'Cat'"),
    "lacks": ({"cases": [{"clip": {"labels": ["Dog"]}, "lacks": ["Dog"]}]}, "cases.0: the question contains 'Dog'"),
    "nothing": ({"cases": [{"clip": {"labels": ["Dog"]}}]}, "cases.0: proves nothing"),
    "no cases": ({"cases": []}, "cases: List should have at least 1 item"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_with_a_file_is_told_in_one_line(tmp_path, what):
    changed, words = WRONG[what]
    file = tmp_path / "p.yaml"
    file.write_text(yaml.safe_dump(PLAIN | changed))
    with pytest.raises(UserError) as told:
        load_judge(str(file), "refine.judge")
    assert str(told.value).startswith(f"refine.judge: {file}: ")
    assert words in str(told.value)
    assert "\n" not in str(told.value)


def test_a_file_that_is_not_there_and_one_that_is_no_yaml(tmp_path):
    with pytest.raises(UserError, match="prompts/none.yaml cannot be read"):
        load_judge("prompts/none.yaml", "refine.judge")
    (tmp_path / "p.yaml").write_text("version: 1\nversion: 1\n")
    with pytest.raises(UserError, match=r"p\.yaml, line 2: is not YAML \(the key 'version' stands twice\)"):
        load_judge(str(tmp_path / "p.yaml"), "refine.judge")
    assert (configs_dir() / "prompts" / "judge.yaml").is_file()
