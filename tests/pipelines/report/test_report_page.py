"""The report page on small runs written by hand: what it says, what it survives, that it repeats itself."""

from __future__ import annotations

import base64
import io
from collections import Counter, defaultdict

import numpy as np
import pytest
import soundfile
from report_runs import HOSTILE, RATE, Outline, clip_rows, marker, place_of, report, row, tone, write_run

from pipelines.catalog.query import dicts
from pipelines.core.tar import Packer
from pipelines.core.workspace import Workspace
from pipelines.ingest.store import encode_flac
from pipelines.report.page import ASK, write_report
from pipelines.seal import parse_seal
from schemas import tables
from schemas.errors import RunStopped, UserError


@pytest.fixture
def run(tmp_path) -> Workspace:
    """A run of 14 clips, captions of each decision, 2 mixtures, and hostile words wherever words come in."""
    rows: dict[str, list[dict]] = {table: [] for table in tables.TABLES}
    decisions = ["accepted", "refused", "abstained"]
    workspace = Workspace(str(tmp_path / "run"))
    stems = {}
    with Packer(workspace, "store", 0, 1000, 10**9) as store:
        for n in range(14):
            seconds, key = 0.5 + 0.25 * (n % 4), f"a-{n}"
            stems[n] = tone(200 + 60 * n, seconds)
            place = store.add("clips", key, {"flac": encode_flac(stems[n], RATE)})
            text = HOSTILE if n == 0 else f"A bell rings {n} times."
            for table, made in clip_rows(n, place, seconds, text, decisions[n % 3]).items():
                rows[table].append(made)
            name = f"Class {n % 5}" if n % 5 else HOSTILE
            rows["classes"].append(
                row("classes", clip_id=key, class_id=f"/m/{n % 5}", class_name=name, state="labelled")
            )
            for number, found in enumerate(
                (
                    {"kind": "tag", "name": "Bell", "confidence": 0.75},
                    {"kind": "event", "name": HOSTILE, "onset_s": 0.1, "offset_s": 9.0},
                    {"kind": "fact", "name": "lufs", "value": -20.5, "unit": "LUFS"},
                )
            ):
                said = {"evidence_id": f"{key}:signal:{number}", "clip_id": key, "listener": "signal"}
                rows["evidence"].append(row("evidence", **said, **found))
    with Packer(workspace, "shards/mixtures-0", 0, 1000, 10**9) as shards:
        for n in range(2):
            target = stems[n][:8000] // 2
            mixture = target + stems[n + 2][:8000] // 2
            members = {
                "mixture.flac": encode_flac(mixture, RATE),
                "target.flac": encode_flac(target, RATE),
                "json": b"{}",
            }
            place = place_of(shards.add("train", f"mix-{n}", members))
            both = {
                "mixture_id": f"mix-{n}",
                "set": "mix",
                "split": "train",
                "policy": "disjoint",
                "target_clip_id": f"a-{n}",
                "sample_rate": RATE,
            }
            own = {"licence": ["unknown", "by-nc"][n]}
            said = {
                "query": HOSTILE,
                "prompt": "both",
                "negative": HOSTILE,
                "instruction_extract": f"Extract {n}",
                "instruction_remove": f"Remove {n}",
            }
            ratio = {"snr_db": -3.0 + n, "achieved_snr_db": -3.01 + n, "input_sdr_db": -3.5 + n}
            rows["mixtures"].append(row("mixtures", **both, **own, **said, **ratio, **place))
            sources = [
                {"role": role, "clip_id": f"a-{m}", "start": 0, "at": 0, "length": 8000}
                for role, m in (("target", n), ("interferer", n + 2))
            ]
            rows["plan"].append(row("plan", **both, sources=sources))
    rows["plan"].append(row("plan", set="mix", split="train", policy="disjoint", refused="no_disjoint_partner"))
    rows["sources"] = [row("sources", clip_id=f"a-{n}", class_names=[HOSTILE], licence="unknown") for n in range(4)]
    wrong = {"stage": "ingest", "error": "undecodable", "message": HOSTILE, "source": HOSTILE}
    rows["rejects"] = [row("rejects", clip_id=f"r-{n}", **wrong) for n in range(5)]
    rows["drops"] = [row("drops", stage="signal", clip_id="a-1", reason="nothing_heard")]
    rows["markers"] = [
        marker("records", 1019, 1019),
        marker("ingest", 1019, 14, rejects=1005),
        marker("broken", 14, 12, drops=1),
    ]
    return write_run(workspace.root, rows)


def test_nothing_from_outside_can_become_markup_or_reach_the_network(run):
    outline = report(run)
    own = """html head meta title style body header main section footer nav article figure figcaption h1 h2 h3
        p a ul li dl dt dd div span strong em i q br blockquote details summary pre code
        table thead tbody tr th td img audio svg g rect line circle text"""
    assert {tag for tag, _ in outline.tags} <= set(own.split())
    harmless = ("#", "data:audio/flac;base64,", "data:image/png;base64,")
    for _, attributes in outline.tags:
        assert not any(name.startswith("on") for name in attributes)
        assert all(attributes.get(name, "#").startswith(harmless) for name in ("src", "href"))
    assert outline.text().count(HOSTILE.replace("\x07", "\ufffd")) > 30
    assert "http" not in run.read("report/index.html").decode().replace("http-equiv", "")


def test_the_same_run_gives_the_same_bytes_and_a_seal_over_them(run):
    write_report(run)
    first, seal = run.read("report/index.html"), run.read("report/seal.json")
    write_report(run)
    assert (run.read("report/index.html"), run.read("report/seal.json")) == (first, seal)
    assert parse_seal(seal)["files"] == {"report/index.html": run.sha256("report/index.html")}
    assert run.root.encode() not in first


def test_figures_and_the_law_are_those_of_the_tables(run):
    text = report(run).text()
    for figure in (
        "Clips 14",
        "Captions accepted 5",
        "Captions refused 5",
        "Abstained 4",
        "Mixtures 2",
        "Shards 1",
        "Rejects 5",
    ):
        assert figure in text
    assert "records 1,019 = 1,019 + 0 + 0 holds" in text
    assert "ingest 1,019 = 14 + 1,005 + 0 holds" in text
    assert "broken 14 = 12 + 0 + 1 broken by 1" in text
    assert text.index("records 1,019") < text.index("ingest 1,019") < text.index("broken 14")


def test_what_each_licence_asks_for_is_told_with_its_count_and_unknown_comes_first(run):
    text = report(run).text()
    table = text[text.index("What may be done with them") :]
    assert "unknown not told, or in words that are none of these: not free 9 0.002 0 1" in table
    assert "by-nc credit, no commercial use (CC BY-NC) 0 0.000 0 1" in table
    assert "cc0 public domain, or waived into it (CC0, Public Domain Mark, PDDL) 5 0.001 5 0" in table
    assert table.index("unknown not told") < table.index("by-nc credit") < table.index("cc0 public")
    assert "1 of 2 have a source whose licence is unknown" in text
    assert text.count("licence unknown") == 7 + 4, "of 12 captions 7, and the 4 sources of mixtures"


def players(outline: Outline) -> list[tuple[str, bytes]]:
    """Return the name and the FLAC of every player."""
    found = [attributes for tag, attributes in outline.tags if tag == "audio"]
    return [(a["aria-label"].removeprefix("Play "), base64.b64decode(a["src"].split(",")[1])) for a in found]


def test_examples_cover_all_decisions_and_their_audio_is_that_of_the_store(run):
    outline = report(run)
    badges = Counter(attributes.get("class", "") for tag, attributes in outline.tags if tag == "span")
    assert [badges[f"badge {name}"] for name in ("accepted", "refused", "abstained")] == [5, 4, 3]
    heard = dict(players(outline))
    clips = [clip for clip in dicts(run, "SELECT * FROM clips") if f"clip {clip['clip_id']}" in heard]
    assert len(clips) == 12
    for clip in clips:
        stored = run.read_range(clip["tar"], clip["offset"], clip["size"])
        assert heard[f"clip {clip['clip_id']}"] == stored


def test_a_residual_that_is_heard_is_mixture_minus_target_exactly(run):
    heard: dict[str, list[np.ndarray]] = defaultdict(list)
    for name, flac in players(report(run)):
        heard[name].append(soundfile.read(io.BytesIO(flac), dtype="int16")[0].astype(int))
    assert len(heard["mixture"]) == 2
    for mixture, target, residual in zip(heard["mixture"], heard["target"], heard["residual"], strict=True):
        assert np.array_equal(mixture, target + residual)
        assert residual.any()


def test_every_table_picture_and_player_has_a_name_for_those_who_cannot_see(run):
    outline = report(run)
    for tag, attributes in outline.tags:
        if tag == "th":
            assert attributes["scope"] in ("row", "col")
        if tag == "img":
            assert attributes["alt"]
        if tag == "audio":
            assert attributes["aria-label"]
        if tag == "svg":
            assert attributes.get("aria-label") or attributes.get("aria-hidden") == "true"
    ids = [attributes["id"] for _, attributes in outline.tags if "id" in attributes]
    assert len(set(ids)) == len(ids)
    assert {attributes["href"][1:] for tag, attributes in outline.tags if tag == "a"} <= set(ids)


def test_a_run_in_which_everything_was_rejected_has_a_page(tmp_path):
    wrong = [row("rejects", stage="ingest", clip_id=f"r-{n}", error=f"e_{n}", message="m" * 5000) for n in range(3000)]
    workspace = write_run(tmp_path, {"rejects": wrong, "markers": [marker("ingest", 3000, 0, rejects=3000)]})
    text = report(workspace).text()
    for sentence in (
        "No recording became a clip",
        "No clip has been given classes",
        "This run has no captions",
        "This run has no mixtures",
        "This run wrote no shards",
        "2,960 more kinds of errors",
        "ingest 3,000 = 0 + 3,000 + 0 holds",
    ):
        assert sentence in text
    assert len(workspace.read("report/index.html")) < 200_000


def test_a_run_without_any_row_has_a_page(tmp_path):
    assert "Every row could be served" in report(write_run(tmp_path, {})).text()


def test_clips_without_candidates_are_shown_as_abstained_with_unknown_score(tmp_path):
    workspace = Workspace(str(tmp_path))
    with Packer(workspace, "store", 0, 1000, 10**9) as store:
        place = store.add("clips", "a-1", {"flac": encode_flac(np.zeros(RATE, dtype=np.int16), RATE)})
    made = clip_rows(1, place, 1.0, None, "abstained")
    caption = made["captions"] | {"candidate_id": None, "method": None}
    write_run(tmp_path, {"clips": [made["clips"]], "captions": [caption]})
    text = report(workspace).text()
    assert "no caption was proposed" in text
    assert "score unknown" in text


def test_a_page_of_loud_noise_stays_below_15_mb_and_says_what_it_leaves_out(tmp_path):
    noise = np.random.default_rng(5).integers(-32000, 32000, 40 * 32000, dtype=np.int16)
    workspace, flac = Workspace(str(tmp_path)), encode_flac(noise, 32000)
    with Packer(workspace, "store", 0, 1000, 10**9) as store:
        places = [store.add("clips", f"a-{n}", {"flac": flac}) for n in range(12)]
    made = [clip_rows(n, place, 40.0, "Noise.", "accepted") for n, place in enumerate(places)]
    write_run(tmp_path, {table: [each[table] for each in made] for table in ("clips", "captions")})
    text = report(workspace).text()
    assert 10_000_000 < len(workspace.read("report/index.html")) < 15_000_000
    assert text.count("first 30.0 s of 40.0 s") == 12
    assert text.count("to hear here:") == 12


def test_an_unfinished_run_and_one_whose_store_is_gone_are_the_users_to_mend(run, tmp_path):
    with pytest.raises(UserError, match="no run has finished"):
        write_report(Workspace(str(tmp_path / "nothing")))
    run.remove("store/clips-00000-000.tar")
    with pytest.raises(RunStopped, match=r"store/clips-00000-000\.tar: is missing; run the same recipe"):
        write_report(run)


def worth(listener: str, class_id: str | None, method: str, **given) -> dict:
    """Return a row of calibrations whose curve is the square of the confidence at three knots."""
    knots = {"confidences": [0.0, 0.5, 1.0], "probabilities": [0.01, 0.25, 0.99]} if method != "none" else {}
    return row("calibrations", listener=listener, class_id=class_id, method=method, **(knots | given))


def listening(root) -> Workspace:
    """A run with a listener that is calibrated, one that is not, one that states no confidence, and their agreement."""
    workspace = Workspace(str(root))
    with Packer(workspace, "store", 0, 1000, 10**9) as store:
        place = store.add("clips", "a-1", {"flac": encode_flac(tone(440, 0.5), RATE)})
    made = clip_rows(1, place, 0.5, "A bell rings.", "accepted")
    said = {"clip_id": "a-1", "kind": "tag", "name": HOSTILE}
    bins = [
        {"calibrated": done, "clips": 30, "said": 0.5, "labelled": share} for done, share in ((False, 0.2), (True, 0.5))
    ]
    errors = {"ece": 0.3, "ece_calibrated": 0.0125, "brier": 0.25, "brier_calibrated": 0.16, "average_precision": 0.75}
    pair = {"clips": 40, "both": 12, "only_listener": 3, "only_other": 5, "jaccard": 0.6, "kappa": -0.25}
    tables_ = {
        "evidence": [
            row("evidence", **said, evidence_id="a-1:ear:0", listener="ear", class_id="/m/0bt9lr", confidence=0.75),
            row("evidence", **said, evidence_id="a-1:raw:0", listener="raw", class_id="/m/0bt9lr", confidence=0.75),
            row("evidence", **said, evidence_id="a-1:publisher:0", listener="publisher"),
        ],
        "calibrations": [
            worth("ear", None, "pooled", positives=1100, negatives=2200, reliability=bins, **errors),
            worth("ear", "/m/0bt9lr", "isotonic", positives=1000, negatives=2000, **errors),
            worth("ear", HOSTILE, "pooled", positives=1, negatives=2),
            worth(HOSTILE, None, "none", positives=2, negatives=1),
            worth(HOSTILE, "/m/06mb1", "none", positives=2, negatives=1),
        ],
        "agreements": [
            row("agreements", listener="ear", other="publisher", **pair),
            row("agreements", listener="publisher", other="ear", **pair),
            row("agreements", listener="ear", other="publisher", class_id="/m/0bt9lr", **pair),
            row("agreements", listener=HOSTILE, other="ear", class_id="/m/06mb1", clips=7),
        ],
        "drops": [
            row("drops", stage="calibrate", clip_id="mute", reason="states_no_confidence"),
            row("drops", stage="calibrate", clip_id="publisher", reason="states_no_confidence"),
            row("drops", stage="calibrate", clip_id="facts", reason="names_no_class"),
        ],
    }
    return write_run(root, {name: [made[name]] for name in ("clips", "captions", "candidates", "scores")} | tables_)


def test_what_listeners_are_worth_is_told_with_its_numbers_and_what_is_uncalibrated_as_such(tmp_path):
    outline = report(listening(tmp_path))
    whole = outline.text()
    text = whole[whole.index("held against the publishers' labels") :]
    safe = HOSTILE.replace("\x07", "\ufffd")
    assert "ear 2 1 by themselves, 1 by all classes together 1,100 2,200 0.750 0.300 → 0.013 0.250 → 0.160" in text
    assert f"{safe} 1 uncalibrated 2 1 – – –" in text
    assert "Dog ear by itself 1,000 2,000 0.750 0.300 → 0.013 0.250 → 0.160" in text
    assert "mute names classes and states no confidence: there is nothing to calibrate" in text
    assert "facts names classes" not in text
    assert "publisher names classes" not in text
    assert "ear publisher 40 12 3 5 0.600 −0.250" in text
    assert "publisher ear 40" not in text, "each pair is told once"
    assert f"Rain {safe} ear 7 0 0 0 – –" in text
    assert ("a", {"href": "#listeners"}) in outline.tags


def test_a_tag_is_shown_with_its_probability_or_as_uncalibrated(tmp_path):
    text = report(listening(tmp_path)).text()
    safe = HOSTILE.replace("\x07", "\ufffd")
    assert f"ear: tags, confidence → probability {safe} 0.75 → 0.62" in text
    assert f"raw: tags, uncalibrated {safe} 0.75" in text
    assert f"publisher: tags {safe}" in text


def test_reliability_is_drawn_where_it_was_measured_and_the_line_is_where_said_is_so(tmp_path):
    outline = report(listening(tmp_path))
    (label,) = [a["aria-label"] for tag, a in outline.tags if tag == "svg" and "Reliab" in a.get("aria-label", "")]
    assert label == "Reliability of ear: as stated: 0.20 at 0.50; calibrated: 0.50 at 0.50"
    dots = {a["class"]: a for tag, a in outline.tags if tag == "circle"}
    (line,) = [a for tag, a in outline.tags if tag == "line" and a["class"] == "same"]
    middle = [(float(line[f"{axis}1"]) + float(line[f"{axis}2"])) / 2 for axis in "xy"]
    assert [float(dots["dot"][key]) for key in ("cx", "cy")] == middle
    assert float(dots["dot raw"]["cx"]) == middle[0]
    assert float(dots["dot raw"]["cy"]) - middle[1] == pytest.approx(0.3 * 200)


def test_where_no_listener_names_a_class_nothing_is_said_of_their_worth(run):
    outline = report(run)
    assert "What the listeners are worth" not in outline.text()
    assert ("a", {"href": "#listeners"}) not in outline.tags


@pytest.mark.parametrize(("title", "sql"), ASK)
def test_each_question_at_the_bottom_runs_as_it_stands(run, title, sql):
    dicts(run, sql)
