"""What goes into a listener and what comes out is checked, and a listener is found by its name."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import FrozenInstanceError
from pathlib import Path

import numpy as np
import pytest

import taggers
from schemas.errors import UserError
from taggers import (
    Finding,
    Listener,
    MissingExtra,
    UnknownModel,
    Waveform,
    available,
    create,
    hear,
    register,
)
from taggers.models import check, listing

REPO = Path(__file__).resolve().parents[2]


class Counter(Listener):
    """Counts samples at 8 kHz only."""

    name = "counter"
    revision = "counter-1"
    sample_rate = 8000

    def listen(self, batch: Sequence[Waveform]) -> list[list[Finding]]:
        return [[Finding("fact", "samples", float(len(waveform.samples)))] for waveform in batch]


class Forgetful(Counter):
    """Answers for the first waveform only."""

    def listen(self, batch: Sequence[Waveform]) -> list[list[Finding]]:
        return super().listen(batch[:1])


def tone(rate: int, count: int = 100) -> Waveform:
    return Waveform(np.full(count, 0.5, np.float32), rate)


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, entry: str, code: str) -> None:
    """Lay out a package as an installer does, so that its entry point is really found and loaded."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[earloom.listeners]\n{entry}\n")
    (folder / f"{name}.py").write_text(code)
    monkeypatch.syspath_prepend(str(folder))


def test_a_waveform_knows_its_length_and_cannot_be_changed_through() -> None:
    samples = np.zeros(4000, np.float32)
    waveform = Waveform(samples, 8000)
    assert waveform.duration_s == 0.5
    with pytest.raises(ValueError, match="read-only"):
        waveform.samples[0] = 1.0
    with pytest.raises(FrozenInstanceError):
        waveform.rate = 16000  # type: ignore[misc]
    samples[0] = 1.0  # the caller's own array stays the caller's


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros(0, np.float32),
        np.zeros((2, 10), np.float32),
        np.array([0.0, np.nan], np.float32),
        np.array([0.0, np.inf], np.float32),
        np.array([0.0, 1.001], np.float32),
        np.array([-1.001], np.float32),
    ],
)
def test_a_waveform_of_the_wrong_shape_or_range_is_refused(samples: np.ndarray) -> None:
    with pytest.raises(ValueError, match="samples"):
        Waveform(samples, 16000)


def test_a_waveform_of_the_wrong_type_or_rate_is_refused() -> None:
    with pytest.raises(TypeError, match="float64"):
        Waveform(np.zeros(10), 16000)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="list"):
        Waveform([0.0], 16000)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"44100\.0"):
        Waveform(np.zeros(10, np.float32), 44100.0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="rate"):
        Waveform(np.zeros(10, np.float32), 0)


def test_what_a_finding_does_not_state_is_none_and_not_zero() -> None:
    finding = Finding("tag", "Siren")
    assert (finding.value, finding.confidence, finding.onset_s, finding.class_id) == (None, None, None, None)


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "guess", "name": "Siren"},
        {"kind": "tag", "name": ""},
        {"kind": "tag", "name": "Siren", "confidence": 1.01},
        {"kind": "tag", "name": "Siren", "confidence": float("nan")},
        {"kind": "fact", "name": "lufs", "value": float("-inf")},
        {"kind": "event", "name": "Siren"},
        {"kind": "event", "name": "Siren", "onset_s": 1.0},
        {"kind": "event", "name": "Siren", "onset_s": 2.0, "offset_s": 1.0},
        {"kind": "event", "name": "Siren", "onset_s": -0.1, "offset_s": 1.0},
    ],
)
def test_a_finding_that_makes_no_sense_is_refused(fields: dict) -> None:
    with pytest.raises(ValueError, match=r"must|needs|ends"):
        Finding(**fields)


def test_hearing_refuses_the_wrong_rate_and_a_wrong_number_of_answers() -> None:
    assert [found[0].value for found in hear(Counter(), [tone(8000, 5), tone(8000, 7)])] == [5.0, 7.0]
    assert hear(Counter(), []) == []
    with pytest.raises(ValueError, match=r"8000 Hz only, not \[8000, 16000\]"):
        hear(Counter(), [tone(8000), tone(16000)])
    with pytest.raises(ValueError, match="1 answers to 2"):
        hear(Forgetful(), [tone(8000), tone(8000)])


def test_every_built_in_listener_that_needs_no_weights_is_available_and_is_one() -> None:
    assert {"facts", "signal"} <= set(available())
    for name in ("facts", "signal"):
        listener = create(name, Listener)
        assert isinstance(listener, Listener)
        assert listener.name == name
        assert listener.revision.startswith(name)


def test_an_unknown_name_is_a_lookup_error_that_suggests_the_nearest() -> None:
    with pytest.raises(UnknownModel, match="did you mean 'signal'"):
        create("signl", Listener)
    with pytest.raises(LookupError, match="known: clap_laion"):
        create("zzzzzz", Listener)


def test_a_registered_listener_is_created_and_its_name_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taggers.registry, "_registered", {})
    register("counter", Counter)
    assert "counter" in available()
    assert isinstance(create("counter", Listener), Counter)
    for taken in ("counter", "facts"):
        with pytest.raises(ValueError, match="already known"):
            register(taken, Counter)


def test_an_installed_package_adds_a_listener(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "import taggers\n\n\nclass Ear:\n"
        "    name, revision, sample_rate, gpus, stateful, batch_s = 'ear', 'ear-1', None, 0.0, False, 10.0\n"
        "    settings_type = taggers.Settings\n"
        "    def load(self, device): pass\n"
        "    def listen(self, batch): return [[] for _ in batch]\n"
    )
    install(tmp_path, monkeypatch, "ear_plugin", "ear = ear_plugin:Ear", code)
    assert "ear" in available()
    assert hear(create("ear", Listener), [tone(8000)]) == [[]]


def test_a_missing_extra_is_named_with_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "import a_library_that_nobody_has\n\nclass Ear: ...\n"
    install(tmp_path, monkeypatch, "heavy_plugin", "heavy = heavy_plugin:Ear [gpu]", code)
    assert "heavy" in available()
    with pytest.raises(MissingExtra, match=r"a_library_that_nobody_has.*pip install 'heavy_plugin\[gpu\]'"):
        create("heavy", Listener)


def test_a_module_that_is_missing_without_an_extra_is_not_disguised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "import nobody_has_this_either\n"
    install(tmp_path, monkeypatch, "broken_plugin", "broken = broken_plugin:Ear", code)
    with pytest.raises(ModuleNotFoundError, match="nobody_has_this_either"):
        create("broken", Listener)


def test_a_plugin_that_is_no_listener_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, "deaf_plugin", "deaf = deaf_plugin:Ear", "class Ear: ...\n")
    with pytest.raises(TypeError, match="does not have the attributes of a Listener"):
        create("deaf", Listener)


def test_a_plugin_may_not_take_the_name_of_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, "rival_plugin", "facts = rival_plugin:Ear", "class Ear: ...\n")
    told = r"^the model 'facts' is declared by earloom \(taggers.descriptors:FactsListener\) and rival_plugin "
    with pytest.raises(UserError, match=told + r"\(rival_plugin:Ear\); uninstall all but one$"):
        create("facts", Listener)
    # Who asks for another is not kept from it.
    assert create("signal", Listener).name == "signal"
    (shown,) = [shown for shown in listing() if shown.name == "facts"]
    assert shown.state.startswith("the model 'facts' is declared by")


def test_a_name_that_would_lead_out_of_a_folder_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, "odd_plugin", "my/../model = odd_plugin:Ear", "class Ear: ...\n")
    with pytest.raises(
        UserError, match=r"^'my/../model', declared by odd_plugin \(odd_plugin:Ear\), is no name: .* only$"
    ):
        create("my/../model", Listener)


def test_a_check_says_of_what_is_no_model_that_it_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, "deaf_too", "deaf = deaf_too:Ear", "class Ear: ...\n")
    words = r"^'deaf' leads to deaf_too.Ear, which is no model: it has none of `listen`, `embed_audio`, `converse`$"
    with pytest.raises(UserError, match=words):
        check("deaf", {}, "cpu")
    code = "class Talker:\n    def converse(self, batch): ...\n"
    install(tmp_path, monkeypatch, "chatty", "talker = chatty:Talker", code)
    with pytest.raises(UnknownModel, match="'talker' answers questions"):
        check("talker", {}, "cpu")


def test_telling_the_names_imports_no_listener_and_listening_no_engine() -> None:
    code = (
        "import sys, taggers\n"
        "taggers.available()\n"
        "assert not {'taggers.descriptors', 'taggers.signal', 'scipy', 'torch'} & set(sys.modules)\n"
        "[taggers.create(name, taggers.Listener) for name in ('facts', 'signal')]\n"
        "assert not {'torch', 'ray', 'pyarrow', 'duckdb', 'apache_beam'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=REPO, check=True)
