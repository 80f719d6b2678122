"""Qwen2-Audio (Chu et al., arXiv:2407.10759) in this process, for those with a GPU and no server: questions about a sound.

Decoding is greedy: the same question has the same answer, on one machine. On the CPU one conversation is had at a
time. On an accelerator several are, turn by turn, padded on the left; an answer that no one can read is asked for once
more alone, since padding and low precision are what has spoiled single answers of a batch (Qwen2.5-Omni, issue 336).
There a batch's sums may round otherwise than one conversation's alone, and a near tie of two words may then fall the
other way: `batch: 1` is for those whom that matters to.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from taggers.base import Settings, Waveform
from taggers.batches import halving
from taggers.chat import Answer, Chat, Conversation, NoAnswer
from taggers.checkpoints import reading, revision
from taggers.containment import needed
from taggers.weights import MissingWeights, Weights, locate

needed("torch", "transformers")

RATE = 16000
LEAST = RATE // 10
"""Samples of the shortest sound that gives more than one of the model's audio tokens; what is shorter is followed by silence."""

SHA256 = {
    "config.json": "ab122e112e2450f10cec59216185bd519ccd7529c79d4c1c00255d43b97a037d",
    "preprocessor_config.json": "4cd7c6c061fe79244c57b0c320b2873f3ee5acce2277f7cc3aced042725680f2",
    "model.safetensors.index.json": "b6cc05302d1bd25fbab6915e3a033603c524416b984f661d213f9a1f8e3b3895",
    "model-00001-of-00005.safetensors": "383de5b5b06f7e7f276850a065d9164641c93009f79a377352a7c949d17c1d7a",
    "model-00002-of-00005.safetensors": "610e59a23cdf1f78d7e3b42e69f2e1a08578f29726391a1772aecac95db3c59c",
    "model-00003-of-00005.safetensors": "b9ea76e97226524a12b6acc5e896bebf01a01018fbcad20a72eb13c7950f6916",
    "model-00004-of-00005.safetensors": "d68dee591619e26e3d0af23a07e181c70134fbc3aa33e24d872224607aae2c62",
    "model-00005-of-00005.safetensors": "a447dab3e72f9debd37a0c4ae0b9179a1bad2b06357092a77c066a0405bbc7d2",
}

LEAST_FILES = ("config.json", "tokenizer.json", "tokenizer_config.json")
"""Files of any such model, however many files its weights are in."""

LOOP = re.compile(r"(.{1,80}?)\1{7,}", re.DOTALL)
"""A piece of an answer that comes eight times in a row: a loop that the model is caught in, where it is long as well."""

LOOP_LENGTH = 80
"""Characters that such pieces take together at least: "woof" may be said eight times."""

_SILENCE = Waveform(np.zeros(LEAST, np.float32), RATE)


class Qwen2AudioSettings(Settings):
    """What a recipe may set of `qwen2_audio`.

    Attributes:
        weights: folder in the layout of transformers; None: the models' folder.
        dtype: type that it computes with, by default the one that it is published in; the same on every device, since
            it changes answers.
        max_new_tokens: an answer is cut after so many tokens.
        batch: conversations that an accelerator is given at once.

    """

    weights: str | None = None
    dtype: Literal["bfloat16", "float16", "float32"] = "bfloat16"
    max_new_tokens: int = Field(256, ge=1)
    batch: int = Field(8, ge=1)


class Qwen2Audio(Chat):
    """Answers questions about one sound of at most 30 s at 16 kHz, or about none; it sees no pictures.

    A longer sound is `too_long`, since its first 30 s would be all that is heard of it: cut it into clips. Where a
    conversation has no `system`, the model's own template may put its default there.
    """

    name = "qwen2_audio"
    settings_type = Qwen2AudioSettings
    sample_rate = RATE
    gpus = 1.0
    stateful = True
    weights = Weights(
        folder="qwen2-audio-7b-instruct",
        files=(*SHA256, "generation_config.json", "tokenizer.json", "tokenizer_config.json"),
        place="hub:Qwen/Qwen2-Audio-7B-Instruct",
        revision="0a095220c30b7b31434169c3086508ef3ea5bf0a",
        licence="Apache-2.0",
        digests=tuple((file, f"sha256:{digest}") for file, digest in SHA256.items()),
    )

    def __init__(self, settings: Qwen2AudioSettings | None = None) -> None:
        self._settings = settings or Qwen2AudioSettings()
        self._folder = _folder(self.name, self.weights, self._settings.weights)
        self.revision = revision(self.name, 1, (self._folder,), self._settings, "weights", "batch")

    def load(self, device: str) -> None:
        """Load the model on `device`; MissingWeights if its folder lacks a part of it, UserError if one is damaged."""
        import torch
        from transformers import GenerationConfig, Qwen2AudioForConditionalGeneration, Qwen2AudioProcessor

        network: Any = Qwen2AudioForConditionalGeneration  # its types say nothing of the pair that it returns here
        with _quiet(), reading(self._folder, "Qwen2-Audio of transformers"):
            processor: Any = Qwen2AudioProcessor.from_pretrained(self._folder, local_files_only=True)
            model, found = network.from_pretrained(
                self._folder,
                dtype=getattr(torch, self._settings.dtype),
                local_files_only=True,
                use_safetensors=True,
                output_loading_info=True,
            )
        _check(self.name, self._folder, processor, model, found["missing_keys"])
        processor.tokenizer.padding_side = "left"
        ends = model.generation_config.eos_token_id or processor.tokenizer.eos_token_id
        self._ends: list[int] = [ends] if isinstance(ends, int) else list(ends)
        # One of our own: the published one samples, and its penalty on repetitions would count the padding of a batch.
        model.generation_config = GenerationConfig(
            do_sample=False,
            max_new_tokens=self._settings.max_new_tokens,
            eos_token_id=self._ends,
            pad_token_id=processor.tokenizer.pad_token_id,
        )
        self._processor, self._model, self._device = processor, model.to(device).eval(), device
        self._special = tuple(processor.tokenizer.get_added_vocab())
        self.at_once = 1 if torch.device(device).type == "cpu" else self._settings.batch

    def converse(self, batch: Sequence[Conversation]) -> list[list[Answer] | NoAnswer]:
        """Have each conversation: an answer per turn, or why there is none; in order.

        Raises:
            ValueError: a sound is not at 16 kHz.
            torch.OutOfMemoryError: one conversation alone does not fit.

        """
        out: list[list[Answer] | NoAnswer] = [self._refusal(conversation) or [] for conversation in batch]
        open_ = [index for index, had in enumerate(out) if not isinstance(had, NoAnswer)]
        # Alike beside alike: fewer turns are had with a part of the batch, and less of it is padding.
        open_.sort(key=lambda index: (-len(batch[index].turns), -_length(batch[index]), index))
        for start in range(0, len(open_), self.at_once):
            indices = open_[start : start + self.at_once]
            for index, had in zip(indices, self._had([batch[index] for index in indices]), strict=True):
                out[index] = had
        return out

    def _refusal(self, conversation: Conversation) -> NoAnswer | None:
        """Return why a conversation is not begun."""
        sound, longest = conversation.sound, self._processor.feature_extractor.n_samples
        if sound is not None and sound.rate != RATE:
            raise ValueError(f"{self.name!r} hears {RATE} Hz only, not {sound.rate}")
        if sound is not None and len(sound.samples) > longest:
            return NoAnswer("too_long", f"{sound.duration_s:.1f} s of sound; at most {longest / RATE:g} s are heard")
        if conversation.pictures:
            return NoAnswer("bad_request", f"{len(conversation.pictures)} pictures for a model that sees none")
        for text in (conversation.system or "", *conversation.turns):
            if token := self._token_in(text):
                return NoAnswer("bad_request", f"what is asked holds {token}, which steers the model: {text[:80]!r}")
        return None

    def _token_in(self, text: str) -> str | None:
        return next((token for token in self._special if token in text), None)

    def _had(self, conversations: Sequence[Conversation]) -> list[list[Answer] | NoAnswer]:
        """Have conversations together, turn by turn; one whose answer is no answer ends there."""
        answers: list[list[Answer]] = [[] for _ in conversations]
        ended: dict[int, NoAnswer] = {}
        for turn in range(max(len(each.turns) for each in conversations)):
            asked = [index for index, each in enumerate(conversations) if turn < len(each.turns) and index not in ended]
            if not asked:
                break
            said = halving(partial(self._asked, conversations, answers), asked)
            for index, answer in zip(asked, said, strict=True):
                if isinstance(answer, NoAnswer):
                    ended[index] = answer
                else:
                    answers[index].append(answer)
        return [ended.get(index, had) for index, had in enumerate(answers)]

    def _asked(
        self, conversations: Sequence[Conversation], answers: Sequence[list[Answer]], indices: Sequence[int]
    ) -> list[Answer | NoAnswer]:
        """Ask the next turn of some of the conversations; what comes back unreadable is asked for once more, alone."""
        said = self._generated([(conversations[index], answers[index]) for index in indices])
        if len(indices) > 1:
            for place, index in enumerate(indices):
                first = said[place]
                if isinstance(first, NoAnswer) and first.error == "unreadable":
                    said[place] = self._generated([(conversations[index], answers[index])])[0]
        return said

    def _generated(self, states: Sequence[tuple[Conversation, list[Answer]]]) -> list[Answer | NoAnswer]:
        """Let the model go on with conversations that have got so far."""
        import torch

        texts = [
            self._processor.apply_chat_template(_messages(*state), add_generation_prompt=True, tokenize=False)
            for state in states
        ]
        sounds = [_long_enough(each.sound.samples) for each, _ in states if each.sound is not None]
        read = self._processor(
            text=texts, audio=sounds or None, sampling_rate=RATE, return_tensors="pt", padding=True
        ).to(self._device)
        with torch.inference_mode():
            made = self._model.generate(**read)
        tokens = made[:, read["input_ids"].shape[1] :].tolist()
        whole = [any(end in row for end in self._ends) for row in tokens]
        words = self._processor.tokenizer.batch_decode(tokens, skip_special_tokens=True)
        said = [self._answer(text.strip(), not ended) for text, ended in zip(words, whole, strict=True)]
        room = self._model.config.text_config.max_position_embeddings - self._settings.max_new_tokens
        for place, length in enumerate(read["attention_mask"].sum(1).tolist()):
            if length > room:  # it goes on beyond the lengths that it was trained with, and answers nonsense
                said[place] = NoAnswer("too_long", f"what is asked has {length} tokens; at most {room} are read")
        return said

    def _answer(self, text: str, cut: bool) -> Answer | NoAnswer:
        text = text.rstrip("\ufffd") if cut else text  # the cut may go through a character
        if wrong := unreadable(text):
            return NoAnswer("unreadable", f"the answer {wrong}: {text[:80]!r}")
        if token := self._token_in(text):
            return NoAnswer("unreadable", f"the answer spells {token}: {text[:80]!r}")
        return Answer(text, self.name, cut)


def unreadable(text: str) -> str | None:
    """Return why a text is no answer: nothing said, one character again and again, a loop, or broken characters."""
    if not any(character.isalnum() for character in text):
        return "has no letter and no digit" if text else "is empty"
    if "\ufffd" in text:
        return "holds bytes that are no characters"
    if len(text) > 2 and len(set(text)) == 1:
        return "is one character"
    if any(len(loop[0]) >= LOOP_LENGTH for loop in LOOP.finditer(text)):
        return "goes round in a loop"
    return None


def _folder(name: str, weights: Weights, given: str | None) -> Path:
    """Return the folder of the published weights, or the given one if such a model may be in it."""
    if given is None:
        return locate(name, weights, None)
    folder = locate(name, replace(weights, files=LEAST_FILES), given)
    if not folder.is_dir() or not any(folder.glob("*.safetensors")):
        raise MissingWeights(f"{name!r}: {given} is no folder with weights (*.safetensors); set `weights` to one")
    return folder


def _check(name: str, folder: Path, processor: Any, model: Any, missing: set[str]) -> None:
    """Raise MissingWeights where transformers has made up a part: it does so with no more than a warning."""
    if missing:
        raise MissingWeights(f"{name!r}: the weights in {folder} lack {len(missing)} tensors, such as {min(missing)}")
    if processor.audio_token_id != model.config.audio_token_id:
        raise MissingWeights(f"{name!r}: the tokenizer in {folder} is not the model's: its token of a sound is another")
    template = processor.apply_chat_template(_messages(Conversation(("?",), _SILENCE), []), tokenize=False)
    if template.count(processor.audio_token) != 1:
        raise MissingWeights(f"{name!r}: the chat template in {folder} has no place for a sound")


def _messages(conversation: Conversation, answers: Sequence[Answer]) -> list[dict[str, Any]]:
    """Return a conversation up to its next question, as chat templates take it; the sound goes with the first."""
    messages: list[dict[str, Any]] = []
    if conversation.system is not None:
        messages.append({"role": "system", "content": conversation.system})
    for number, question in enumerate(conversation.turns[: len(answers) + 1]):
        # Templates of different years know a sound by its type or by this key; nothing is read from it.
        heard = [{"type": "audio", "audio_url": ""}] if number == 0 and conversation.sound is not None else []
        messages.append({"role": "user", "content": [*heard, {"type": "text", "text": question}]})
        if number < len(answers):
            messages.append({"role": "assistant", "content": answers[number].text})
    return messages


def _long_enough(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    # A sound of one audio token takes a path of its own through transformers, one of none is an error there.
    return np.pad(samples, (0, max(0, LEAST - len(samples))))


def _length(conversation: Conversation) -> int:
    return 0 if conversation.sound is None else len(conversation.sound.samples)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers' progress bars from the screen."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
