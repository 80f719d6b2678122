"""The stage that tags clips with class names through an embedder: what a clip's embedding lies near to."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from pipelines.core.stage import Batch, Context, Resources, Result, Stage
from pipelines.listen.embed import stage_name, unit
from pipelines.listen.evidence import evidence_row
from pipelines.listen.models import Chosen
from schemas.errors import UserError
from schemas.ids import fingerprint
from schemas.ontology import Ontology, configs_dir, default_ontology
from schemas.recipe import ZeroShot as Settings
from schemas.section import Section
from taggers.base import Embedder


class Templates(Section):
    """A file of prompt templates.

    Attributes:
        version: raised with every change of meaning.
        scale: what cosines are multiplied with before they become shares of all classes.
        templates: sentences in which ``{name}`` stands for a class's name in lower case.
    """

    version: int
    scale: float = Field(gt=0, allow_inf_nan=False)
    templates: list[str] = Field(min_length=1)


@dataclass(frozen=True)
class ZeroShot(Stage):
    """Stage ``zero_shot_<name>``: embeddings of clips -> tags, the classes whose names lie nearest.

    A class's direction is the mean of its name's embeddings in all templates. A clip's cosine with a class is the largest of
    its windows'; the confidence is the softmax of the scaled cosines over all classes that are asked for, which is a share
    among these and no probability that the class is heard. The cosine itself is the ``value``.
    """

    embedder: Chosen[Embedder]
    settings: Settings

    reads = ("clips", "embeddings")
    writes = "evidence"
    batch_rows = 512

    @property
    def name(self) -> str:  # type: ignore[override]
        """The stage's name."""
        return f"zero_shot_{self.embedder.name}"

    @property
    def resources(self) -> Resources:  # type: ignore[override]
        """What the model occupies, which the same workers have loaded already."""
        return Resources(actor=self.embedder.model.stateful)

    @property
    def crew(self) -> str:  # type: ignore[override]
        """The workers that embed."""
        return self.embedder.crew

    def params(self) -> dict[str, Any]:
        """The section of the recipe."""
        return self.settings.model_dump(mode="json") | self.embedder.params()

    def revisions(self) -> dict[str, str]:
        """The embedder's revision, and the hash of the prompts."""
        prompts = fingerprint(templates(self.settings.prompts).model_dump(mode="json"))
        return {self.embedder.name: self.embedder.model.revision, "prompts": prompts}

    def reads_from(self) -> dict[str, tuple[str, ...]]:
        """One embedder's embeddings."""
        return {"embeddings": (stage_name(self.embedder),)}

    def check(self) -> None:
        """Raise UserError for prompts that cannot be read, or a class that the ontology lacks."""
        templates(self.settings.prompts)
        asked(self.settings.classes, default_ontology())

    def setup(self, context: Context) -> None:
        """Load the embedder and embed the names of the classes."""
        self._directions()

    def process(self, batch: Batch, context: Context) -> Result:
        """Serve rows of ``clips``."""
        ids, directions = self._directions()
        vectors, ontology = batch.grouped("embeddings", "clip_id"), default_ontology()
        scale = templates(self.settings.prompts).scale
        result = Result()
        for clip in batch.rows.column("clip_id").to_pylist():
            if not vectors[clip]:
                result.drops.append((clip, "not_embedded"))
                continue
            windows = unit([row["vector"] for row in vectors[clip]])
            cosines = np.clip(windows @ directions.T, -1.0, 1.0).max(axis=0)
            shares = softmax(scale * cosines)
            best = np.argsort(-shares, kind="stable")[: self.settings.top]
            heard = [index for index in best if shares[index] >= self.settings.least]
            result.rows += [
                evidence_row(
                    clip,
                    self.name,
                    self.embedder.model.revision,
                    number,
                    kind="tag",
                    name=ontology[ids[index]].name,
                    class_id=ids[index],
                    value=round(float(cosines[index]), 4),
                    unit="cosine",
                    confidence=round(float(shares[index]), 4),
                )
                for number, index in enumerate(heard)
            ]
            if not heard:
                result.drops.append((clip, "nothing_heard"))
        return result

    def _directions(self) -> tuple[tuple[str, ...], NDArray[np.float32]]:
        ids = tuple(asked(self.settings.classes, default_ontology()))
        return ids, _directions(self.embedder, self.settings.prompts, ids)


def softmax(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return exp(values) over their sum: shape (n,), in [0, 1], of sum 1."""
    powers = np.exp(values.astype(np.float64) - float(values.max()))
    shares: NDArray[np.float64] = powers / powers.sum()
    return shares


def asked(classes: list[str], ontology: Ontology) -> list[str]:
    """Return the ids of the classes that are asked for: those named, or all that are neither headings nor blacklisted.

    Raises:
        UserError: a name or id that the ontology lacks.
    """
    if not classes:
        return [node.class_id for node in ontology.classes if not node.abstract and not node.blacklist]
    by_name = {node.name.lower(): node.class_id for node in ontology.classes}
    out = []
    for name in classes:
        found = name if name in ontology else by_name.get(name.lower())
        if found is None:
            raise UserError(f"listen.zero_shot.classes: {name!r} is no class of the ontology; use its name or its id")
        out.append(found)
    return list(dict.fromkeys(out))


@lru_cache(maxsize=4)
def templates(path: str) -> Templates:
    """Return the templates of a file of ``configs/``; UserError if it cannot be used."""
    file = configs_dir() / path
    try:
        read = Templates.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(step) for step in first["loc"])
        raise UserError(f"listen.zero_shot.prompts: {path}: {where}: {first['msg']}") from None
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"listen.zero_shot.prompts: {path} cannot be read ({type(error).__name__})") from None
    if wrong := [text for text in read.templates if text.count("{name}") != 1]:
        raise UserError(f"listen.zero_shot.prompts: {path}: {wrong[0]!r} must hold {{name}} once")
    return read


@lru_cache(maxsize=4)
def _directions(embedder: Chosen[Embedder], prompts: str, ids: tuple[str, ...]) -> NDArray[np.float32]:
    """Return the unit directions of classes, shape (classes, dimension)."""
    sentences = templates(prompts).templates
    texts = [sentence.replace("{name}", _name(class_id).lower()) for class_id in ids for sentence in sentences]
    embedded = embedder.loaded.embed_text(texts).reshape(len(ids), len(sentences), -1).mean(axis=1)
    directions: NDArray[np.float32] = embedded / np.linalg.norm(embedded, axis=1, keepdims=True)
    return directions


def _name(class_id: str) -> str:
    return default_ontology()[class_id].name
