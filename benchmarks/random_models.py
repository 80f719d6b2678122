"""Models with random weights, in the files that their publishers use: for tests and benchmarks, where no download is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from taggers.clap_laion import LaionClap, build
from taggers.containment import replaced
from taggers.panns import ARGUMENTS, PannsEvents, PannsTags, library


def cnn14(folder: Path) -> Path:
    """Write Cnn14 with random weights (327 MB) below its published name."""
    return _panns(folder, PannsTags)


def cnn14_framewise(folder: Path) -> Path:
    """Write Cnn14_DecisionLevelMax with random weights (327 MB) below its published name."""
    return _panns(folder, PannsEvents)


def _panns(folder: Path, model: type[PannsTags] | type[PannsEvents]) -> Path:
    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        torch.manual_seed(1)
        network = getattr(library(), model.network)(**ARGUMENTS).eval()
        _spread(network, network.fc_audioset)
    path = folder / model.weights.files[0]
    folder.mkdir(parents=True, exist_ok=True)
    torch.save({"iteration": 1, "model": network.state_dict()}, path)
    return path


def _spread(network: torch.nn.Module, last: torch.nn.Linear) -> None:
    """Set the last layer so that scores differ from sound to sound; as it begins, they differ from class to class alone."""
    heard: list[torch.Tensor] = []
    hook = last.register_forward_hook(
        lambda _, inputs, output: heard.append(inputs[0].reshape(-1, inputs[0].shape[-1]))
    )
    fades = torch.sin(torch.arange(32000) * torch.tensor([2e-4, 3e-3, 3e-2, 3e-1])[:, None])
    network(torch.rand(4, 32000) * fades, None)
    hook.remove()
    seen = torch.cat(heard)
    last.weight.div_(8.0 * (seen @ last.weight.T).std(dim=0).mean())
    last.bias.copy_(-(seen @ last.weight.T).mean(dim=0))


SENTENCES = (
    "a dog barks while rain falls on a roof",
    "a man speaks and then music plays",
    "birds sing near a road with passing cars",
    "the sound of an engine idling, followed by a siren",
)


def tokenizer(folder: Path) -> Any:
    """Write a RoBERTa tokenizer of 300-odd tokens, learnt from a few sentences, and return it."""
    from tokenizers import ByteLevelBPETokenizer
    from transformers import RobertaTokenizer

    folder.mkdir(parents=True, exist_ok=True)
    learnt = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    learnt.train_from_iterator(SENTENCES, vocab_size=340, min_frequency=1, special_tokens=special, show_progress=False)
    learnt.save_model(str(folder))
    made = RobertaTokenizer.from_pretrained(folder, local_files_only=True)
    for file in ("vocab.json", "merges.txt"):
        (folder / file).unlink()
    made.save_pretrained(folder)
    return made


def clap(folder: Path, small: bool = True, fused: bool = False, rate: int = 48000, longest_s: int = 10) -> Path:
    """Write a ClapModel of transformers with its feature extractor and tokenizer; the published size is 614 MB."""
    from transformers import ClapConfig, ClapFeatureExtractor, ClapModel
    from transformers.utils import logging

    audio: dict[str, Any] = {"enable_fusion": fused, "fusion_type": "aff_2d" if fused else None}
    text: dict[str, Any] = {}
    if small:
        heads = {"num_attention_heads": [1, 2, 4, 8], "depths": [1, 1, 1, 1]}
        audio |= heads | {"patch_embeds_hidden_size": 16, "hidden_size": 128}
        text |= {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
        text |= {"vocab_size": len(tokenizer(folder)), "max_position_embeddings": 34}
    else:
        tokenizer(folder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        config = ClapConfig(audio_config=audio, text_config=text, projection_dim=24 if small else 512)
        with replaced(logging, "_tqdm_active", False):
            ClapModel(config).save_pretrained(folder)
    ClapFeatureExtractor(
        sampling_rate=rate,
        max_length_s=longest_s,
        frequency_min=50,
        frequency_max=min(14000, rate // 2),
        truncation="fusion" if fused else "rand_trunc",
    ).save_pretrained(folder)
    return folder


def laion(folder: Path) -> Path:
    """Write a LAION-CLAP checkpoint with its tokenizer: HTSAT-tiny, and RoBERTa of one layer (150 MB)."""
    known = tokenizer(folder)
    prefix = "text_branch."
    shapes = {
        "embeddings.word_embeddings.weight": (len(known), 768),
        "embeddings.position_embeddings.weight": (80, 768),
        "encoder.layer.0.intermediate.dense.weight": (64, 768),
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        sizes = {prefix + name: torch.empty(shape) for name, shape in shapes.items()}
        network = build("HTSAT-tiny", sizes, known, "cpu").model
    state = {f"module.{name}": tensor for name, tensor in network.state_dict().items()}
    state[f"module.{prefix}embeddings.position_ids"] = torch.arange(80)[None]
    path = folder / LaionClap.weights.files[0]
    torch.save({"epoch": 1, "name": "random", "state_dict": state}, path, pickle_protocol=4)
    return path
