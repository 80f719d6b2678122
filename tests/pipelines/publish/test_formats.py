"""Each format, read back as its users read it: no word of a caption is lost, and nothing stands there that is not known."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
import soundfile
from adapter_trees import listed
from hypothesis import given, settings
from hypothesis import strategies as st
from publish_runs import candidate, clip

from pipelines.catalog import query
from pipelines.catalog.captions import words as words_of_catalogue
from pipelines.core.workspace import Workspace
from pipelines.listen.chain import load_chain
from pipelines.llm.prompt_files import prompt_hash
from pipelines.publish.export import export
from pipelines.publish.form import Options
from pipelines.publish.formats.sound_vecaps import flags_of
from pipelines.publish.formats.wavcaps import SUBSETS
from pipelines.publish.items import best_first
from pipelines.publish.outbox import Outbox
from pipelines.publish.sinks import CsvFile, JsonArray
from pipelines.publish.words import words
from schemas.errors import UserError

CHAIN = "prompts/audiosetcaps_listen.yaml"
EAR = {
    "endpoints": {"ear": {"base_url": "http://127.0.0.1:9/v1", "model": "m"}},
    "listen": {"ask": [{"name": "ear", "endpoint": "ear"}]},
}
HOSTILE = [
    'A man says "no, no", then\nleaves.',
    "=HYPERLINK(1)",
    "+1",
    "-2",
    "@a",
    "a\rb",
    "\r\n",
    "tab\there",
    "Ünïcode — 犬が吠える 🐕",
    "",
    " spaced ",
    "\x00 nul",
    "a\u2028b",
    "'",
    '"',
    '""',
    ";",
]


def table(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def as_wavcaps_reads(files: list[Path], blacklist: dict[str, list[str]]) -> list[dict[str, Any]]:
    """Return what the loader of WavCaps' authors makes of JSON files: audio, caption and duration, without those on a blacklist."""
    found = []
    for path in files:
        with open(path) as file:
            told = json.load(file)
        assert told["num_captions_per_audio"] == 1
        barred = next((blacklist[name] for name in ("FreeSound", "AudioSet") if name in str(path)), [])
        kept = (entry for entry in told["data"] if entry["id"] not in barred)
        found += [{key: entry[key] for key in ("audio", "caption", "duration")} for entry in kept]
    return found


def exported(run: Workspace, form: str, out: Path, **options: Any) -> dict[str, Any]:
    return export(run, form, str(out), Options(**options))


@pytest.mark.parametrize("text", HOSTILE)
def test_any_caption_survives_every_text_form(make, tmp_path, text):
    styles = [("full", text), ("audible", f"{text}!")]
    five = [candidate("a", n, f"{text} {n}", style=style) for n, (style, _) in enumerate([*styles, *styles, ("x", "")])]
    verdicts = [{"candidate_id": row["candidate_id"], "clip_id": "a", "decision": "accepted"} for row in five]
    run = make(clip("a", "fs:1", caption=five[0]["text"]), candidates=five, verdicts=verdicts)
    for form in ("wavcaps", "audiosetcaps", "sound_vecaps", "clotho"):
        exported(run, form, tmp_path / form)
    told = json.loads((tmp_path / "wavcaps/json_files/FreeSound/fsd_final.json").read_text())
    assert [entry["caption"] for entry in told["data"]] == [f"{text} 0"]
    assert [row["caption"] for row in table(tmp_path / "audiosetcaps/made_caption.csv")] == [f"{text} 0"]
    assert [row["caption"] for row in table(tmp_path / "sound_vecaps/Sound-VECaps_audio.csv")] == [f"{text} 1"]
    (row,) = table(tmp_path / "clotho/clotho_captions_development.csv")
    assert list(row.values()) == ["a.wav", *(f"{text} {n}" for n in range(5))]


@settings(max_examples=60)
@given(rows=st.lists(st.tuples(*[st.text(st.characters(exclude_categories=["Cs"]), max_size=20)] * 2), max_size=6))
def test_any_text_can_be_had_back_from_a_table_and_from_an_array(tmp_path_factory, rows):
    box = Outbox(tmp_path_factory.mktemp("sinks"))
    lines, entries = CsvFile(box, "x.csv", ("a", "b")), JsonArray(box, "x.json", {"n": 1}, "data")
    for a, b in rows:
        lines.add({"a": a, "b": b})
        entries.add({"a": a, "b": b})
    entries.close()
    box.close()
    assert [(row["a"], row["b"]) for row in table(box.root / "x.csv")] == rows
    data = (box.root / "x.json").read_bytes()
    assert json.loads(data) == {"n": 1, "data": [{"a": a, "b": b} for a, b in rows]}
    assert data.isascii(), "whatever encoding a loader takes it for"


def test_wavcaps_loads_as_its_authors_load_it_and_sounds_as_the_store(demo, tmp_path):
    run = Workspace(str(demo))
    exported(run, "wavcaps", tmp_path / "x", audio=True)
    files = sorted((tmp_path / "x" / "json_files").rglob("*_final.json"))
    found = as_wavcaps_reads(files, {"FreeSound": [], "AudioSet": []})
    rows = table(tmp_path / "x" / "clips.csv")
    captions = {row["clip_id"]: row for row in query.dicts(run, "SELECT * FROM captions JOIN clips USING (clip_id)")}
    assert {entry["audio"]: entry["caption"] for entry in found} == {
        row["file"]: captions[row["clip_id"]]["caption"] for row in rows
    }
    for entry in found:
        info = soundfile.info(tmp_path / "x" / entry["audio"])
        assert (info.format, info.samplerate, info.channels) == ("FLAC", 32000, 1)
        assert info.duration == pytest.approx(entry["duration"])
    barred = next(row["id"] for row in rows if "AudioSet_SL" in row["file"])
    assert len(as_wavcaps_reads(files, {"FreeSound": [], "AudioSet": [barred]})) == len(found) - 1


def test_our_own_reader_of_wavcaps_finds_the_same_recordings_captions_and_files(demo, tmp_path):
    run = Workspace(str(demo))
    exported(run, "wavcaps", tmp_path / "x", audio=True)
    rows = {
        row["recording_id"]: row for row in table(tmp_path / "x" / "clips.csv") if "/Other_flac/" not in row["file"]
    }
    found = {row["recording_id"]: row for row in listed(tmp_path / "x", "wavcaps").rows.values()}
    assert {name: row["source_path"] for name, row in found.items()} == {
        name: row["file"] for name, row in rows.items()
    }
    said = {row["clip_id"]: row["caption"] for row in query.dicts(run, "SELECT clip_id, caption FROM captions")}
    assert {name: row["captions"] for name, row in found.items()} == {
        name: [said[row["clip_id"]]] for name, row in rows.items()
    }


def test_an_entry_of_wavcaps_has_the_keys_of_its_subset_and_null_for_what_is_not_known(make, tmp_path):
    about = {"title": "Rain Heavy", "description": "It rains.", "keywords": ["Nature"]}
    run = make(
        clip("a", "yt:b0RFKhbpFJA"),
        clip("b", "bbc:NHU05051026", **about),
        clip("c", "fs:180913", **about | {"title": "UK Mello.wav"}, attribution="Tempouser"),
        clip("d", "fs:2", attribution="Zoë, of 'Noises'"),
        clip("e", "sb:2219", **about),
        clip("f", "sha256:00"),
        clip("g", "yt:short"),
        clip("h", "bbc:../evil"),
    )
    exported(run, "wavcaps", tmp_path / "x")
    told = {path.parent.name: json.loads(path.read_text())["data"] for path in (tmp_path / "x").rglob("*_final.json")}
    sound = {"audio": "wav_path", "duration": 0.25}
    assert told["AudioSet_SL"] == [{"id": "Yb0RFKhbpFJA.wav", "caption": "Sound of a.", **sound}]
    assert told["BBC_Sound_Effects"] == [
        {
            "description": "It rains.",
            "category": "['Nature']",
            "caption": "Sound of b.",
            "id": "NHU05051026",
            "duration": 0.25,
            "audio": "wav_path",
            "download_link": "https://sound-effects-media.bbcrewind.co.uk/zip/NHU05051026.wav.zip",
        }
    ]
    first, second = told["FreeSound"]
    assert first["href"] == "/people/Tempouser/sounds/180913/"
    assert (first["file_name"], first["tags"], first["download_link"]) == ("UK Mello.wav", ["Nature"], None)
    assert (second["href"], second["author"], second["description"]) == (None, "Zoë, of 'Noises'", None)
    (bible,) = told["SoundBible"]
    assert bible["href"] == "2219-Rain-Heavy.html"
    assert bible["download_link"] == "http://soundbible.com/grab.php?id=2219&type=wav"
    assert [entry["id"] for entry in told["Other"]] == ["f", "g", "h"], "no name that is a path is a file's"


def test_the_subsets_have_the_published_keys_in_the_published_order(shared):
    published = json.loads((shared / "wavcaps/schema_samples.json").read_text())
    for subset in SUBSETS.values():
        if subset.folder != "Other":
            assert subset.keys == tuple(published[subset.folder])


def test_links_of_soundbible_are_those_that_are_published(shared, make, tmp_path):
    published = json.loads((shared / "wavcaps/SoundBible/sb_final.json").read_text())["data"]
    clips = [
        clip(
            f"s{entry['id']}",
            f"sb:{entry['id']}",
            caption=entry["caption"],
            title=entry["title"],
            description=entry["description"],
            attribution=entry["author"],
        )
        for entry in published
    ]
    exported(make(*clips), "wavcaps", tmp_path / "x")
    with open(tmp_path / "x/json_files/SoundBible/sb_final.json") as file:
        told = json.load(file)["data"]
    assert len(told) == 1232
    assert {row["id"]: row for row in told} == {row["id"]: row | {"duration": 0.25} for row in published}


def test_audiosetcaps_puts_each_answer_in_the_column_of_its_question(make, tmp_path):
    def answers(clip_id: str, **said: str | None) -> list[dict[str, Any]]:
        return [
            {"evidence_id": f"{clip_id}:ear:{n}", "clip_id": clip_id, "kind": "answer", "name": name, "text": text}
            for n, (name, text) in enumerate(said.items())
        ]

    said = answers("a", music="Piano, solo.", **{"music.genre": "jazz"}) + answers("b", sounds="Rain.", speech=None)
    run = make(
        clip("a", "yt:-a_b0000000"),
        clip("b", "fs:1"),
        clip("c", "yt:Yb000000000", dataset="vggsound", start_s=30.0),
        clip("d", "yt:d0000000000", decision="refused"),
        recipe=EAR | {"data": {"datasets": ["vggsound"]}},
        evidence={"ask_ear": said, "listen_other": answers("c", sounds="Not asked.")},
        revisions={"ask_ear": {"chain": prompt_hash(CHAIN, "x")}},
    )
    manifest = exported(run, "audiosetcaps", tmp_path / "x")
    assert (
        [turn.name for turn in load_chain(CHAIN, "x").file.turns]
        == manifest["questions"]
        == ["sounds", "speech", "music"]
    )
    assert [row["id"] for row in table(tmp_path / "x/made_caption.csv")] == ["Y-a_b0000000", "b", "Yb000000000_000030"]
    assert table(tmp_path / "x/made_Q&A.csv") == [
        {"id": "Y-a_b0000000", "answer_1": "", "answer_2": "", "answer_3": "Piano, solo."},
        {"id": "b", "answer_1": "Rain.", "answer_2": "", "answer_3": ""},
    ]
    assert manifest["products"]["made_Q&A.csv"] == {"exported": 2, "left_out": {"no_answers": 1, "refused": 1}}


def test_answers_whose_questions_have_changed_since_are_refused(make, tmp_path):
    run = make(clip("a", "fs:1"), recipe=EAR, evidence={"ask_ear": []}, revisions={"ask_ear": {"chain": "0"}})
    with pytest.raises(
        UserError, match=f"^listen.ask ear: {CHAIN} is not the file that the run asked by; put that one back"
    ):
        exported(run, "audiosetcaps", tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_sound_vecaps_takes_the_best_accepted_candidate_of_each_style_and_says_what_tells_a_place(make, tmp_path):
    full, audible = {"style": "full"}, {"style": "audible"}
    candidates = [
        candidate("a", 0, "A dog barks in a quiet kitchen outdoors.", **full),
        candidate("a", 1, "A brown dog barks.", **full),
        candidate("a", 2, "A dog barks.", **audible),
        candidate("b", 0, "Rain.", **audible),
        candidate("b", 1, "Rain on a red roof.", **full),
        candidate("c", 0, "Wind."),
    ]
    judged = [
        ("a", 0, 0.8, "accepted"),
        ("a", 1, 0.9, "accepted"),
        ("a", 2, 0.95, "accepted"),
        ("c", 0, 1.0, "accepted"),
    ]
    judged += [("b", 0, 0.7, "accepted"), ("b", 1, 0.99, "refused")]
    verdicts = [
        {"candidate_id": f"{key}:w:{n}", "clip_id": key, "probability": p, "decision": said}
        for key, n, p, said in judged
    ]
    place = {"clip_id": "b", "candidate_id": "b:w:0", "kind": "place", "verdict": "unknown"}
    claims = [
        place | {"claim_id": "1", "text": "in a garage"},
        place | {"claim_id": "2", "text": "indoors", "verdict": "supported"},
        place | {"claim_id": "3", "text": "rain", "kind": "source"},
    ]
    clips = [clip(key, f"yt:{key}0000000000", candidate_id=f"{key}:w:{n}") for key, n in (("a", 2), ("b", 0), ("c", 0))]
    run = make(*clips, candidates=candidates, verdicts=verdicts, claims=claims)
    manifest = exported(run, "sound_vecaps", tmp_path / "x")
    assert table(tmp_path / "x/Sound-VECaps_full.csv") == [{"id": "Ya0000000000", "caption": "A brown dog barks."}]
    assert table(tmp_path / "x/Sound-VECaps_audio.csv") == [
        {"id": "Ya0000000000", "caption": "A dog barks."},
        {"id": "Yb0000000000", "caption": "Rain."},
    ]
    assert manifest["products"]["Sound-VECaps_full.csv"] == {"exported": 1, "left_out": {"no_full": 2}}
    assert table(tmp_path / "x/Sound-VECaps_places.csv")[-1] == {
        "variant": "audible",
        "id": "Yb0000000000",
        "candidate_id": "b:w:0",
        "location": "1",
        "environment": "0",
        "places": "in a garage; indoors",
        "verdicts": "unknown; supported",
    }
    compared = {row["corpus"]: row for row in json.loads((tmp_path / "x/comparison.json").read_text())}
    own = compared["made, audible"]
    assert (own["captions"], own["mean_words"], own["location"], own["environment"]) == (2, 2.0, 1, 0)
    assert (tmp_path / "x/comparison.md").read_text().count("\n| ") == len(compared) + 1
    read = listed(tmp_path / "x", "sound_vecaps").rows.values()
    assert {row["recording_id"]: row["captions"] for row in read} == {
        "yt:a0000000000": ["A dog barks."],
        "yt:b0000000000": ["Rain."],
    }


@pytest.mark.parametrize(
    ("caption", "places", "told"),
    [
        ("A dog barks in the kitchen.", None, (1, 0)),
        ("A dog barks in the kitchen.", [], (0, 0)),
        ("A dog barks outdoors.", ["outdoors"], (0, 1)),
        ("A dog barks inside.", ["inside"], (0, 0)),
        ("A dog barks in a kitchen outside.", ["in a kitchen", "outside"], (1, 1)),
        ("A dog barks.", None, (0, 0)),
    ],
)
def test_a_location_is_a_place_with_a_name_and_an_environment_is_what_surrounds(caption, places, told):
    assert tuple(flags_of(caption, places).values()) == told


def test_words_are_counted_as_the_catalogue_counts_them():
    for text in (*HOSTILE, "The dog’s bark, it's loud; 3 times_over.", "Cafe\u0301 noise"):
        assert words(text) == words_of_catalogue(text)


def test_clotho_has_five_different_accepted_captions_of_one_language_the_best_first(make, tmp_path):
    texts = ["One.", "one", "Two.", "Drei.", "Four.", "Five.", "Six.", "Seven."]
    rows = [candidate("a", n, text, language="de" if text == "Drei." else "en") for n, text in enumerate(texts)]
    rows += [candidate("b", n, text) for n, text in enumerate(texts[:3])]
    verdicts = [
        {
            "candidate_id": row["candidate_id"],
            "clip_id": row["clip_id"],
            "probability": None if row["text"] == "Seven." else 0.1 * n,
            "decision": "refused" if row["text"] == "Six." else "accepted",
        }
        for n, row in enumerate(rows)
    ]
    run = make(clip("a", "fs:1", split="val"), clip("b", "fs:2", split="val"), candidates=rows, verdicts=verdicts)
    manifest = exported(run, "clotho", tmp_path / "x")
    (row,) = table(tmp_path / "x/clotho_captions_validation.csv")
    assert list(row) == ["file_name", *(f"caption_{n}" for n in range(1, 6))]
    assert list(row.values()) == ["a.wav", "One.", "Five.", "Four.", "Two.", "Seven."]
    (row,) = table(tmp_path / "x/fewer_than_five_validation.csv")
    assert list(row.values()) == ["b.wav", "2", "One.", "Two.", "", ""], "what there is, and nothing twice"
    assert manifest["products"] == {
        "five_captions": {"exported": 1, "left_out": {"fewer_than_five": 1}},
        "fewer_than_five": {"exported": 1, "left_out": {"five_captions": 1}},
    }
    (read,) = listed(tmp_path / "x", "clotho").rows.values()
    assert read["captions"] == ["One.", "Five.", "Four.", "Two.", "Seven."]
    assert read["split"] == "val"


def test_a_run_without_verdicts_has_its_captions_alone(make, tmp_path):
    rows = [candidate("a", n, f"Text {n}.", style=style) for n, style in enumerate(("full", "audible", "full"))]
    run = make(clip("a", "fs:1", caption="Text 1.", candidate_id="a:w:1"), candidates=rows)
    exported(run, "clotho", tmp_path / "x")
    (row,) = table(tmp_path / "x/fewer_than_five_development.csv")
    assert list(row.values()) == ["a.wav", "1", "Text 1.", "", "", ""]
    told = exported(run, "sound_vecaps", tmp_path / "y")["products"]
    assert [each["exported"] for each in told.values()] == [0, 1]


def test_a_clip_inside_another_file_is_named_by_its_identifier(make, tmp_path):
    run = make(clip("a", "fs:1", source_path="x.tar", member="bytes:0+1"), clip("b-500", "fs:2", record_id="b"))
    exported(run, "clotho", tmp_path / "x")
    assert [row["file_name"] for row in table(tmp_path / "x/fewer_than_five_development.csv")] == [
        "a.flac",
        "b-500_0.5.wav",
    ]


def test_candidates_come_best_first_and_those_of_which_nothing_is_known_last():
    rows = [candidate("a", n, str(n)) for n in range(4)]
    said = [
        {"candidate_id": f"a:w:{n}", "decision": "accepted", "probability": p, "reasons": []}
        for n, p in ((0, 0.1), (1, None), (2, 0.9))
    ]
    found = best_first(rows, said, "a:w:1")
    assert [row["text"] for row in found] == ["1", "2", "0", "3"]
    assert [row["decision"] for row in found] == ["accepted"] * 3 + [None]


def test_a_table_is_a_table_for_pandas_too(make, tmp_path):
    pandas = pytest.importorskip("pandas")
    run = make(
        *(clip(f"c{n}", f"fs:{n}", caption=text) for n, text in enumerate(HOSTILE) if text and "\x00" not in text)
    )
    exported(run, "audiosetcaps", tmp_path / "x")
    data = (tmp_path / "x/made_caption.csv").read_bytes()
    frame = pandas.read_csv(io.BytesIO(data), keep_default_na=False)
    assert list(frame["caption"]) == [text for text in HOSTILE if text and "\x00" not in text]
