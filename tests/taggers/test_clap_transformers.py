"""CLAP through transformers gives what transformers gives, in windows that never change, and reads all of a text."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import random_models
import torch
from safetensors.torch import load_file, save_file

import taggers.clap_transformers
from schemas.errors import UserError
from taggers import BadSettings, Embedder, MissingWeights, Waveform, create, embed
from taggers.clap_text import pooled
from taggers.clap_transformers import TransformersClap
from taggers.logmel import LogMel

REPO = Path(__file__).resolve().parents[2]
CLOSE = 1e-5
"""Largest difference from the package that float32 may make."""

TEXTS = ["a dog barks", "rain falls on a roof while birds sing", "a siren"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_models.clap(tmp_path_factory.mktemp("clap"))


@pytest.fixture(scope="module")
def model(folder: Path) -> TransformersClap:
    return loaded(folder)


@pytest.fixture(scope="module")
def by_hand(folder: Path) -> tuple[Any, Any, Any]:
    """Return the package's own model, feature extractor and tokenizer."""
    from transformers import ClapFeatureExtractor, ClapModel, RobertaTokenizer

    kinds = (ClapFeatureExtractor, RobertaTokenizer)
    return (ClapModel.from_pretrained(folder).eval(), *(kind.from_pretrained(folder) for kind in kinds))


def loaded(folder: Path, **settings: Any) -> TransformersClap:
    made = create("clap_transformers", Embedder, {"weights": str(folder), **settings})
    assert isinstance(made, TransformersClap)
    made.load("cpu")
    return made


def sound(seconds: float, seed: int = 0, rate: int = 48000) -> Waveform:
    draw = np.random.default_rng(seed)
    count = round(seconds * rate)
    tone = np.sin(np.arange(count) * draw.uniform(0.01, 1.0)) * np.sin(np.arange(count) * 1e-4 * (1 + seed))
    return Waveform((tone * draw.uniform(0.0, 0.9, count)).astype(np.float32), rate)


def heard(by_hand: tuple[Any, Any, Any], samples: np.ndarray) -> np.ndarray:
    network, extractor, _ = by_hand
    features = extractor(samples, sampling_rate=48000, return_tensors="pt")
    with torch.inference_mode():
        return network.get_audio_features(**features).pooler_output.numpy()[0]


@pytest.mark.parametrize("seconds", [10.0, 3.7, 0.01])
def test_sounds_are_embedded_as_the_package_called_by_hand_does(
    model: TransformersClap, by_hand: tuple[Any, Any, Any], seconds: float
) -> None:
    waveform = sound(seconds, 1)
    found = embed(model, [waveform])[0]
    assert found.shape == (1, model.dimension)
    assert np.abs(found[0] - heard(by_hand, waveform.samples)).max() <= CLOSE
    assert np.abs(found[0] - heard(by_hand, sound(seconds, 2).samples)).max() > 1e-3  # or there is nothing to compare


def test_a_long_sound_is_embedded_window_by_window(model: TransformersClap, by_hand: tuple[Any, Any, Any]) -> None:
    waveform = sound(11.5, 3)
    found = embed(model, [waveform])[0]
    assert len(found) == 3
    for row, start in zip(found, (0.0, 1.0, 1.5), strict=True):
        first = round(start * 48000)
        assert np.abs(row - heard(by_hand, waveform.samples[first : first + 480000])).max() <= CLOSE


def test_windows_and_hops_are_as_set_and_shorter_windows_are_repeated(
    folder: Path, by_hand: tuple[Any, Any, Any]
) -> None:
    chosen = loaded(folder, window_s=7.0, hop_s=2.5)
    waveform = sound(10.0, 4)
    found = embed(chosen, [waveform])[0]
    assert len(found) == 3  # from 0, 2.5 and 3 s
    assert np.abs(found[1] - heard(by_hand, waveform.samples[120000:456000])).max() <= CLOSE


def test_texts_are_embedded_as_the_package_called_by_hand_does(
    model: TransformersClap, by_hand: tuple[Any, Any, Any]
) -> None:
    network, _, tokenizer = by_hand
    with torch.inference_mode():
        expected = network.get_text_features(**tokenizer(TEXTS, padding=True, return_tensors="pt")).pooler_output
    found = model.embed_text(TEXTS)
    assert np.abs(found - expected.numpy()).max() <= CLOSE
    assert np.abs(found[0] - found[1]).max() > 1e-3


def test_a_batch_is_embedded_as_each_alone_and_twice_the_same(model: TransformersClap, folder: Path) -> None:
    batch = [sound(2.0, 1), sound(10.0, 2), sound(11.0, 3), sound(2.0, 4)]
    together, other = embed(model, batch), embed(loaded(folder), batch)
    for waveform, first, second in zip(batch, together, other, strict=True):
        assert np.array_equal(first, second)
        assert np.array_equal(first, embed(model, [waveform])[0])
    assert np.array_equal(model.embed_text(TEXTS), np.concatenate([model.embed_text([text]) for text in TEXTS]))
    assert model.embed_text([]).shape == (0, model.dimension)
    assert embed(model, []) == []


def test_a_text_that_is_too_long_is_the_mean_of_pieces_that_fit(
    model: TransformersClap, by_hand: tuple[Any, Any, Any]
) -> None:
    network, _, tokenizer = by_hand
    text = "a dog barks while a man speaks, " * 6 + "then rain"
    ids = tokenizer(text, add_special_tokens=False).input_ids
    room = 32 - 2  # 34 positions, of which RoBERTa leaves the first two out, and two special tokens
    parts = np.array_split(ids, -(-len(ids) // room))
    assert len(parts) > 2
    with torch.inference_mode():
        rows = [network.get_text_features(torch.tensor([[0, *part, 2]])).pooler_output.numpy()[0] for part in parts]
    found = model.embed_text([text])[0]
    assert np.abs(found - pooled(rows)).max() <= CLOSE
    assert abs(float(np.linalg.norm(found)) - 1.0) < 1e-6


def test_with_feature_fusion_nothing_is_fused_and_nothing_is_left_to_chance(tmp_path: Path) -> None:
    from transformers import ClapFeatureExtractor, ClapModel

    random_models.clap(tmp_path, fused=True)
    network = ClapModel.from_pretrained(tmp_path).eval()
    waveform = sound(4.0, 5)
    features = ClapFeatureExtractor.from_pretrained(tmp_path)(
        waveform.samples, sampling_rate=48000, return_tensors="pt"
    )
    assert features["is_longer"].tolist() == [[True]]  # it is not: the package draws one of the batch
    with torch.inference_mode():
        expected = network.get_audio_features(features["input_features"], torch.tensor([[False]])).pooler_output
    found = embed(loaded(tmp_path), [waveform])[0]
    assert np.abs(found - expected.numpy()).max() <= CLOSE


def test_the_spectrogram_is_that_of_the_feature_extractor(by_hand: tuple[Any, Any, Any]) -> None:
    _, extractor, _ = by_hand
    tone = np.sin(np.arange(480000) * 0.05).astype(np.float32)
    half = np.where(np.arange(480000) < 200000, tone, 0).astype(np.float32)
    sounds = [tone, half, np.zeros(480000, np.float32), sound(10.0, 6).samples]
    made = LogMel(extractor, 1, "cpu")(torch.from_numpy(np.stack(sounds)))
    expected = extractor(sounds, sampling_rate=48000, return_tensors="pt")["input_features"]
    assert made.shape == expected.shape
    assert made.dtype == torch.float32
    assert float((made - expected).abs().max()) <= 1e-4


def test_loading_and_embedding_print_nothing(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    made = loaded(folder)
    embed(made, [sound(1.0)])
    made.embed_text(["a dog barks " * 40])
    assert capfd.readouterr() == ("", "")


def test_what_a_folder_says_is_known_before_any_library_is_loaded(tmp_path: Path) -> None:
    random_models.clap(tmp_path, rate=32000, longest_s=8)
    code = (
        "import sys\n"
        "from taggers import create, Embedder\n"
        f"made = create('clap_transformers', Embedder, {{'weights': {str(tmp_path)!r}, 'window_s': 8}})\n"
        "assert (made.sample_rate, made.dimension, made.window_s, made.hop_s) == (32000, 24, 8.0, 1.0)\n"
        "assert not {'torch', 'transformers'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=REPO, check=True)
    with pytest.raises(BadSettings, match="setting 'window_s': 10 will not do: it hears 8 s"):
        create("clap_transformers", Embedder, {"weights": str(tmp_path)})
    with pytest.raises(BadSettings, match="window_s"):
        create("clap_transformers", Embedder, {"weights": str(tmp_path), "window_s": 6})


def test_a_revision_says_which_weights_and_settings(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "same")
    made = [
        create("clap_transformers", Embedder, {"weights": str(place), **more}).revision
        for place, more in ((folder, {}), (tmp_path / "same", {}), (folder, {"hop_s": 2.0}))
    ]
    assert made[0] == made[1] != made[2]
    assert made[0].startswith("clap_transformers-1-")
    (tmp_path / "same" / "tokenizer.json").write_text("{}")
    assert create("clap_transformers", Embedder, {"weights": str(tmp_path / "same")}).revision != made[0]


def test_a_folder_without_all_it_needs_is_refused_when_the_model_is_made(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EARLOOM_MODELS", str(tmp_path / "none"))
    with pytest.raises(MissingWeights, match=r"clap-htsat-unfused.*earloom models pull clap_transformers"):
        create("clap_transformers", Embedder)
    for file, words in (("model.safetensors", "pytorch_model.bin"), ("tokenizer.json", "its tokenizer is not in")):
        copy = tmp_path / file
        shutil.copytree(folder, copy)
        (copy / file).unlink()
        with pytest.raises(MissingWeights, match=words):
            create("clap_transformers", Embedder, {"weights": str(copy)})


def test_weights_that_do_not_belong_together_are_refused(folder: Path, tmp_path: Path) -> None:
    from transformers import RobertaTokenizer

    for name in ("empty", "other", "partial", "cut"):
        shutil.copytree(folder, tmp_path / name)
    RobertaTokenizer().save_pretrained(tmp_path / "empty")  # what transformers 5 makes where there are no files
    with pytest.raises(UserError, match="its tokenizer knows no words"):
        loaded(tmp_path / "empty")
    more = RobertaTokenizer.from_pretrained(folder)
    more.add_tokens(["didgeridoo"])
    more.save_pretrained(tmp_path / "other")
    with pytest.raises(UserError, match="tokens, its weights .*; they do not belong together"):
        loaded(tmp_path / "other")
    tensors = load_file(folder / "model.safetensors")
    kept = {name: tensor for name, tensor in tensors.items() if "audio_projection" not in name}
    save_file(kept, tmp_path / "partial" / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match=r"its weights lack audio_projection.linear1.bias and 3 more"):
        loaded(tmp_path / "partial")
    extractor = tmp_path / "cut" / "preprocessor_config.json"
    extractor.write_text(json.dumps(json.loads(extractor.read_text()) | {"padding": "pad"}))
    with pytest.raises(UserError, match="pads by 'pad', not 'repeatpad'"):
        loaded(tmp_path / "cut")


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("config.json", "{}", "config.json: 'projection_dim' is None and no number above 0"),
        ("config.json", '{"projection_dim": "wide"}', "'projection_dim' is 'wide' and no number above 0"),
        ("config.json", "[]", "config.json: is no configuration"),
        ("preprocessor_config.json", "{}", "preprocessor_config.json: 'sampling_rate' is None"),
        ("preprocessor_config.json", '{"sampling_rate": 48000, "max_length_s": NaN}', "'max_length_s' is nan"),
        ("preprocessor_config.json", '{"sampling_rate": 48000, "max_length_s": 10}', "pads by None, not 'repeatpad'"),
    ],
)
def test_a_configuration_that_is_no_claps_is_told_when_the_model_is_made(
    folder: Path, tmp_path: Path, file: str, text: str, words: str
) -> None:
    shutil.copytree(folder, tmp_path / "copy")
    (tmp_path / "copy" / file).write_text(text)
    with pytest.raises(UserError, match=words):
        create("clap_transformers", Embedder, {"weights": str(tmp_path / "copy")})


@pytest.mark.parametrize("file", ["model.safetensors", "tokenizer.json", "config.json"])
def test_damage_is_told_in_one_line_that_names_the_folder(folder: Path, tmp_path: Path, file: str) -> None:
    shutil.copytree(folder, tmp_path / "copy")
    damaged = tmp_path / "copy" / file
    if file == "config.json":
        damaged.write_text(json.dumps(json.loads(damaged.read_text()) | {"text_config": 5}))
    else:
        damaged.write_bytes(damaged.read_bytes()[:2000])
    with pytest.raises(UserError) as caught:
        loaded(tmp_path / "copy")
    assert str(caught.value).startswith(f"{tmp_path / 'copy'}: is no CLAP of transformers, or a damaged one (")
    assert "\n" not in str(caught.value)


def test_the_demo_model_says_its_own_rate_and_window(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    random_models.clap(tmp_path / "demo", rate=16000, longest_s=5)
    monkeypatch.setattr(taggers.clap_transformers, "DEMO", tmp_path / "demo")
    demo = create("demo_clap", Embedder)
    assert (demo.sample_rate, demo.window_s, demo.hop_s, demo.dimension) == (16000, 5.0, 1.0, 24)
    assert demo.revision.startswith("demo_clap-1-")
    demo.load("cpu")
    found = embed(demo, [sound(2.0, rate=16000), sound(6.5, rate=16000)])
    assert [len(rows) for rows in found] == [1, 3]
    monkeypatch.setattr(taggers.clap_transformers, "DEMO", tmp_path / "none")
    with pytest.raises(MissingWeights, match="make them with `make demo-models`"):
        create("demo_clap", Embedder)
