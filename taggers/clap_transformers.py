"""CLAP through transformers' ClapModel, from a local folder; and the small one that this package brings."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from schemas.errors import UserError
from taggers.base import Settings
from taggers.checkpoints import reading, revision
from taggers.clap import Clap, ClapSettings
from taggers.clap_text import Texts, tokenizer_files
from taggers.containment import IMPORTS, needed, replaced
from taggers.logmel import LogMel
from taggers.registry import BadSettings
from taggers.weights import MissingWeights, Weights, locate

if TYPE_CHECKING:
    import torch

needed("torch", "transformers")

MODEL = ("model.safetensors", "pytorch_model.bin")
"""Names that the weights may have; the first is taken where both are."""

CONFIGS = ("config.json", "preprocessor_config.json")
DEMO = Path(__file__).parent / "demo" / "clap"


class TransformersClap(Clap):
    """Any CLAP that `save_pretrained` wrote: weights, configuration, feature extractor and tokenizer in one folder.

    Rate, dimension and the length that its network hears are those of the folder. With feature fusion, a window is no
    longer than the network hears, so that nothing is fused: as LAION does, and unlike transformers, which then takes one
    sound of a batch for a longer one by chance.
    """

    name = "clap_transformers"
    settings_type: ClassVar[type[Settings]] = ClapSettings
    weights: ClassVar[Weights | None] = Weights(
        folder="clap-htsat-unfused",
        files=(*CONFIGS, "pytorch_model.bin", "tokenizer.json", "tokenizer_config.json"),
        place="hub:laion/clap-htsat-unfused",
        revision="8fa0f1c6d0433df6e97c127f64b2a1d6c0dcda8a",
        licence="Apache-2.0",
        digests=(("pytorch_model.bin", "sha256:1cd3c601bc4afe0fa87be3de4c13dd2cfadd249fac1e29acf74a9b296c3219bb"),),
    )

    def __init__(self, settings: ClapSettings | None = None) -> None:
        chosen = settings or ClapSettings()
        assert TransformersClap.weights is not None
        expected = TransformersClap.weights
        if chosen.weights and (Path(chosen.weights).expanduser() / MODEL[0]).is_file():
            expected = replace(expected, files=(*CONFIGS, MODEL[0]))
        elif chosen.weights:
            expected = replace(expected, files=(*CONFIGS, MODEL[1]))
        self._open(locate(self.name, expected, chosen.weights), chosen, chosen.window_s, chosen.hop_s)

    def _open(self, folder: Path, settings: Settings, window_s: float | None, hop_s: float) -> None:
        """Read what a folder says of its model, without its weights."""
        config, extractor = (folder / file for file in CONFIGS)
        tokens = tokenizer_files(self.name, folder, "`save_pretrained` writes it there")
        model = next(folder / file for file in MODEL if (folder / file).is_file())
        self._folder, self.sample_rate = folder, int(_number(extractor, "sampling_rate"))
        longest_s = _number(extractor, "max_length_s")
        self.window_s, self.hop_s = window_s or longest_s, hop_s
        if self.window_s > longest_s:
            raise BadSettings(f"{self.name!r}, setting 'window_s': {window_s:g} will not do: it hears {longest_s:g} s")
        if (padding := _read(extractor).get("padding")) != "repeatpad":
            raise UserError(f"{folder}: its feature extractor pads by {padding!r}, not 'repeatpad'")
        self._length = int(longest_s * self.sample_rate)
        self.dimension = int(_number(config, "projection_dim"))
        content = (*(folder / file for file in CONFIGS), model, *tokens)
        self.revision = revision(self.name, 1, content, settings, "weights")

    def load(self, device: str) -> None:
        """Load networks and tokenizer on `device`; UserError if the folder does not hold all of them."""
        import torch
        from transformers import AutoTokenizer, ClapFeatureExtractor, ClapModel
        from transformers.utils import logging

        verbosity = logging.get_verbosity()
        with IMPORTS, replaced(logging, "_tqdm_active", False):
            logging.set_verbosity_error()
            try:
                with reading(self._folder, "CLAP of transformers"):
                    loaded: Any = ClapModel.from_pretrained(
                        self._folder, local_files_only=True, dtype=torch.float32, output_loading_info=True
                    )
                    extractor = ClapFeatureExtractor.from_pretrained(self._folder, local_files_only=True)
                    tokenizer = AutoTokenizer.from_pretrained(self._folder, local_files_only=True)
            finally:
                logging.set_verbosity(verbosity)
        model, told = loaded
        if lacking := sorted({*told["missing_keys"], *map(str, told["mismatched_keys"])}):
            raise UserError(
                f"{self._folder}: its weights lack {lacking[0]} and {len(lacking) - 1} more; fetch them again"
            )
        text = model.config.text_config
        # RoBERTa numbers positions from the padding token's number on.
        positions = text.max_position_embeddings - text.pad_token_id - 1
        self._texts = Texts(self.name, tokenizer, min(positions, tokenizer.model_max_length), text.vocab_size)
        fused = bool(model.config.audio_config.enable_fusion)
        self._spectrogram = LogMel(extractor, 4 if fused else 1, device)
        self._model, self._device = model.to(device).eval(), device

    def _hear(self, samples: torch.Tensor) -> torch.Tensor:
        import torch

        longer = torch.zeros((len(samples), 1), dtype=torch.bool, device=samples.device)
        heard: torch.Tensor = self._model.get_audio_features(
            input_features=self._spectrogram(samples), is_longer=longer
        ).pooler_output
        return heard

    def _read(self, ids: torch.Tensor) -> torch.Tensor:
        read: torch.Tensor = self._model.get_text_features(input_ids=ids).pooler_output
        return read


class DemoClap(TransformersClap):
    """The small CLAP that this package brings: it knows the sounds of the sample corpora and nothing else."""

    name = "demo_clap"
    settings_type = Settings
    weights = None
    gpus = 0.1

    def __init__(self) -> None:
        absent = [file for file in (*CONFIGS, MODEL[0]) if not (DEMO / file).is_file()]
        if absent:
            raise MissingWeights(
                f"{self.name!r}: its weights are not in {DEMO} ({', '.join(absent)}); make them with `make demo-models`"
            )
        self._open(DEMO, Settings(), None, 1.0)


def _number(path: Path, key: str) -> float:
    """Return a number above 0 that a configuration holds; UserError if it holds none."""
    number = _read(path).get(key)
    if isinstance(number, bool) or not isinstance(number, int | float) or not 0 < number < float("inf"):
        raise UserError(f"{path}: {key!r} is {number!r} and no number above 0; it is no CLAP's, fetch it again")
    return float(number)


def _read(path: Path) -> dict[str, Any]:
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise UserError(f"{path}: is not JSON; fetch it again") from None
    if not isinstance(read, dict):
        raise UserError(f"{path}: is no configuration; fetch it again")
    return read
