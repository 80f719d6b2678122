"""A Qwen2-Audio of some 50,000 random weights, in the files that its publisher uses: it answers in words, without sense."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers.pre_tokenizers import ByteLevel
from transformers import (
    GenerationConfig,
    Qwen2AudioConfig,
    Qwen2AudioForConditionalGeneration,
    Qwen2AudioProcessor,
    Qwen2Tokenizer,
    WhisperFeatureExtractor,
)

PAD, END = "<|endoftext|>", "<|im_end|>"
SPECIAL = (PAD, END, "<|im_start|>", "<|audio_bos|>", "<|AUDIO|>", "<|audio_eos|>")
WORDS = (" dog", " rain", " siren", " the", " with", " and", " falls", " near", " loud", " soft", " bird", " wind")
LONGEST_S = 30

# A turn is its role, what it holds and an end; sounds are numbered, as they are in the published template.
TEMPLATE = """\
{%- set sounds = namespace(heard=0) -%}
{%- for message in messages -%}
<|im_start|>{{ message.role }}
{% if message.content is string -%}
{{ message.content }}
{%- else -%}
{%- for part in message.content -%}
{%- if part.type == "audio" -%}
{%- set sounds.heard = sounds.heard + 1 -%}
Audio {{ sounds.heard }}: <|audio_bos|><|AUDIO|><|audio_eos|>
{% else -%}
{{ part.text }}
{%- endif -%}
{%- endfor -%}
{%- endif -%}
<|im_end|>
{% endfor -%}
{%- if add_generation_prompt -%}
<|im_start|>assistant
{% endif -%}
"""


def tiny_qwen2_audio(folder: Path, seed: int = 4) -> Path:
    """Write the model's folder; it answers with `WORDS` and nothing else, and ends where the weights of `seed` will."""
    processor = tiny_processor()
    ids = processor.tokenizer.convert_tokens_to_ids
    end, pad = ids(END), ids(PAD)
    config = Qwen2AudioConfig(
        audio_token_index=ids("<|AUDIO|>"),
        audio_config={
            "num_mel_bins": processor.feature_extractor.feature_size,
            "encoder_layers": 1,
            "encoder_attention_heads": 2,
            "encoder_ffn_dim": 32,
            "d_model": 16,
            "max_source_positions": LONGEST_S * 50,
        },
        text_config={
            "vocab_size": len(processor.tokenizer),
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 2048,
            "initializer_range": 0.5,
            "pad_token_id": pad,
            "eos_token_id": end,
            "bos_token_id": None,
        },
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Qwen2AudioForConditionalGeneration(config)
        head = torch.zeros_like(model.lm_head.weight)
        for word in (*WORDS, END):
            head[ids(word.replace(" ", "Ġ"))] = torch.randn(config.text_config.hidden_size)
    with torch.no_grad():
        model.lm_head.weight.copy_(head)
    # The published one samples, and holds repetitions against a token, padding included: neither may have an effect.
    model.generation_config = GenerationConfig(
        do_sample=True, temperature=0.7, top_k=20, repetition_penalty=1.5, eos_token_id=[pad, end], pad_token_id=pad
    )
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def tiny_processor() -> Qwen2AudioProcessor:
    """Return what makes features and tokens: every byte is a token, and so are `WORDS` and `SPECIAL`."""
    pieces = sorted(ByteLevel.alphabet())
    merges = []
    for word in WORDS:
        letters = word.replace(" ", "Ġ")
        for end in range(2, len(letters) + 1):
            if letters[:end] not in pieces:
                merges.append((letters[: end - 1], letters[end - 1]))
                pieces.append(letters[:end])
    tokenizer = Qwen2Tokenizer(
        vocab={piece: index for index, piece in enumerate(pieces)},
        merges=merges,
        eos_token=END,
        pad_token=PAD,
        additional_special_tokens=list(SPECIAL),
    )
    features = WhisperFeatureExtractor(feature_size=16, chunk_length=LONGEST_S)
    return Qwen2AudioProcessor(features, tokenizer, chat_template=TEMPLATE)
