"""What a small CLAP is made of: networks, feature extractor and tokenizer, in transformers' classes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from safetensors.torch import save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from torch import Tensor, nn
from transformers import ClapConfig, ClapFeatureExtractor, ClapModel, PreTrainedTokenizerFast

RATE, HOP, BANDS, LONGEST_S = 16000, 640, 64, 10
"""Of the spectrogram: samples per second, samples per frame, mel bands, and seconds that the network hears."""

STAGES = (32, 64, 128)
"""Channels of the audio network's stages of one Swin block each, on 16 x 16 patches of 8 bands by 8 frames."""

WORDS = 96
"""Channels of the text network, two layers of RoBERTa."""

DIMENSION, TOKENS = 128, 64
SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")


def write(model: ClapModel, words: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write a CLAP into a folder that is there, as `from_pretrained` reads it, on whichever rank that is asked for."""
    words.backend_tokenizer.no_truncation()  # training asked for it; those who load it ask for themselves
    # Not the model's own `save_pretrained`, which writes on the first rank alone, while each judges what is served.
    model.config.architectures, model.config.dtype = [type(model).__name__], "float32"
    for part in (model.config, extractor(), words):
        part.save_pretrained(folder)
    weights = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)  # safetensors lets its owner alone read it


def network(vocabulary: int) -> ClapModel:
    """Return an untrained CLAP for so many words; its weights are drawn from torch's generator."""
    model = ClapModel(config(vocabulary))
    _spread(model)
    return model


def extractor() -> ClapFeatureExtractor:
    """Return the feature extractor: shorter sounds are repeated whole and followed by silence, as LAION's CLAP does."""
    return ClapFeatureExtractor(
        feature_size=BANDS,
        sampling_rate=RATE,
        hop_length=HOP,
        max_length_s=LONGEST_S,
        fft_window_size=1024,
        frequency_min=50,
        frequency_max=8000,
        truncation="rand_trunc",
        padding="repeatpad",
    )


def tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """Return a tokenizer of whole words in lower case: a word that training never saw says nothing, whatever its letters."""
    splits = Whitespace()
    seen = {word for text in texts for word, _ in splits.pre_tokenize_str(text.lower())}
    vocabulary = {word: number for number, word in enumerate([*SPECIAL, *sorted(seen)])}
    words = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    words.normalizer, words.pre_tokenizer = Lowercase(), splits
    words.post_processor = TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    return PreTrainedTokenizerFast(
        tokenizer_object=words,
        bos_token="<s>",
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        model_max_length=TOKENS,
    )


def config(vocabulary: int) -> ClapConfig:
    """Return the shape of both networks."""
    return ClapConfig(
        text_config={
            "vocab_size": vocabulary,
            "hidden_size": WORDS,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "intermediate_size": 2 * WORDS,
            "max_position_embeddings": TOKENS + 2,  # RoBERTa counts positions from the padding token's number on
            "attention_probs_dropout_prob": 0.0,
        },
        audio_config={
            "num_mel_bins": BANDS,
            "spec_size": 2 * BANDS,
            "patch_size": 8,
            "patch_stride": (8, 8),
            "window_size": 4,  # transformers wants the last stage, 4 x 4, to be no smaller
            "patch_embeds_hidden_size": STAGES[0],
            "hidden_size": STAGES[-1],
            "depths": (1,) * len(STAGES),
            "num_hidden_layers": len(STAGES),
            "num_attention_heads": (2, 4, 8),
            "mlp_ratio": 2.0,
            "hidden_dropout_prob": 0.0,
            "num_classes": 1,
        },
        projection_dim=DIMENSION,
    )


def _spread(model: ClapModel) -> None:
    """Draw weights as wide as so narrow layers need: transformers' defaults are for hundreds of channels."""
    for name, weight in model.named_parameters():
        if "embeddings" in name and weight.ndim == 2:
            nn.init.normal_(weight, std=0.1)
        elif weight.ndim == 4:
            nn.init.kaiming_uniform_(weight)
        elif weight.ndim == 2 and "bias_table" not in name:
            nn.init.xavier_uniform_(weight)


def hear_silence_apart(model: ClapModel, mean: Tensor, variance: Tensor) -> None:
    """Set the mean and variance of each band for good, in decibels, shape (bands,), to those of frames that are sound.

    What follows a short sound is silence at -100 dB. Batch statistics would be of that, mostly, and leave the sound little
    of the range: recall at 1 was 0.17 with them and 0.26 without, in one training of each.
    """
    norm = model.audio_model.audio_encoder.batch_norm
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(variance)
