"""The rows of the measures: of each mixture and system, through models where a measure hears by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from schemas.endpoints import Endpoint
from schemas.errors import UserError
from taggers.base import Embedder, Listener
from trainers.evaluating.items import EXTRACTION, REMOVAL, Item, Samples
from trainers.measures.answers import answers
from trainers.measures.clap_scores import at_rate_of, circular, same_space, windows_of
from trainers.measures.posteriors import posteriors
from trainers.measures.registry import MEASURES, rows_of, variant_of

DEFAULT = ("sdr", "sdri", "si_sdr", "si_sdri", "lsd")

SOUNDS = ("estimate", "reference", "mixture")

PLAIN = (*SOUNDS, "rate")
"""What measures are made of that need no model."""

PARTS = {
    "listener": ("estimate_posteriors", "reference_posteriors"),
    "embedder": ("estimate_windows", "reference_windows", "query_embeddings"),
    "model": ("estimate_answers", "reference_answers"),
}
"""Kind of model, as in `trainers.measures.registry.MADE_BY` -> what it makes."""

SCORES = ("clap_score", "clap_score_audio")
"""Measures that may be circular."""

OPTIONS = {"listener": "--listener MODEL", "embedder": "--embedder MODEL", "model": "--endpoint FILE"}


@dataclass(frozen=True)
class Judge:
    """The measures of an evaluation, and the models that some of them hear by, loaded.

    Attributes:
        names: of the measures, in the order of tables.
        device: where the measures that can work there do.
        folder: where a server's answers are kept.
        listener: makes posteriors.
        embedder: makes embeddings.
        endpoint: whom an audio-language model is asked of.
    """

    names: tuple[str, ...]
    device: str
    folder: str
    listener: Listener | None = None
    embedder: Embedder | None = None
    endpoint: Endpoint | None = None
    needs: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "needs", frozenset(need for name in self.names for need in MEASURES[name].needs))

    def makers(self) -> dict[str, str]:
        """Return the kind of each model -> its name and revision."""
        models = {"listener": self.listener, "embedder": self.embedder}
        found = {kind: f"{model.name} {model.revision}" for kind, model in models.items() if model is not None}
        return found | ({"model": self.endpoint.model} if self.endpoint else {})

    def common(self, items: Sequence[Item]) -> dict[str, Any]:
        """Return what the measures need of mixtures of one length and rate, whichever system answers."""
        given: dict[str, Any] = {
            "reference": np.stack([item.target for item in items]),
            "mixture": np.stack([item.mixture for item in items]),
            "rate": items[0].rate,
        }
        if "query_embeddings" in self.needs:
            assert self.embedder is not None
            given["query_embeddings"] = self.embedder.embed_text([item.query for item in items])
        return given | self._heard("reference", given["reference"], given["rate"])

    def rows(self, common: Mapping[str, Any], estimates: Sequence[Samples]) -> list[dict[str, Any]]:
        """Return, of each mixture, the row of each measure: a number, or an array of what pools.

        Args:
            common: of these mixtures, what :meth:`common` returned.
            estimates: of each.

        Raises:
            UserError: a measure cannot be taken of such sound.
        """
        sounds = np.stack(estimates)
        given = {**common, "estimate": sounds} | self._heard("estimate", sounds, common["rate"])
        moved = given
        if self.device != "cpu":
            sounds_there = {name: torch.as_tensor(given[name], device=self.device) for name in SOUNDS}
            moved = {**given, **sounds_there}
        there = [name for name in self.names if MEASURES[name].on_device]
        here = [name for name in self.names if not MEASURES[name].on_device]
        try:
            found = {**rows_of(here, given), **rows_of(there, moved)}
        except ValueError as error:
            raise UserError(f"--measures {','.join(self.names)}: {error}; leave that measure out") from None
        return [{name: found[name][at] for name in self.names} for at in range(len(sounds))]

    def _heard(self, what: str, sounds: Any, rate: int) -> dict[str, Any]:
        made: dict[str, Any] = {}
        if (name := f"{what}_posteriors") in self.needs:
            assert self.listener is not None
            made[name] = posteriors(self.listener, [at_rate_of(self.listener, sound, rate) for sound in sounds])
        if (name := f"{what}_windows") in self.needs:
            assert self.embedder is not None
            made[name] = windows_of(self.embedder, sounds, rate)
        if (name := f"{what}_answers") in self.needs:
            assert self.endpoint is not None
            made[name] = answers(sounds, rate, "endpoint", self.endpoint, self.folder)
        return made


def checked(names: Sequence[str], there: Sequence[str], task: str = EXTRACTION) -> tuple[str, ...]:
    """Return measures, each once, in the order of the registry.

    Args:
        names: as the user gives them.
        there: kinds of models, keys of :data:`PARTS`, that are given.
        task: what systems are asked for.

    Raises:
        UserError: there is none, a name is unknown, or a measure is none of separation, none of the task, or needs a model that is
            not given.
    """
    possible = {*PLAIN, *(part for parts in PARTS.values() for part in parts)}
    known = [name for name, measure in MEASURES.items() if possible >= set(measure.needs)]
    for name in names:
        if name not in known:
            kind = "is no measure of separation" if name in MEASURES else "is not known"
            raise UserError(f"--measures: {name!r} {kind}; there are {', '.join(known)}")
        if task == REMOVAL and "query_embeddings" in MEASURES[name].needs:
            raise UserError(f"--measures: {name} compares with the query, which names what --task {task} takes away")
        for kind, parts in PARTS.items():
            if kind not in there and set(parts) & set(MEASURES[name].needs):
                raise UserError(f"--measures: {name} hears by a model; give {OPTIONS[kind]}")
    if not names:
        raise UserError(f"--measures: names none; there are {', '.join(known)}")
    return tuple(name for name in known if name in names)


def described(judge: Judge, query_encoder: Embedder | None, revision: str | None) -> dict[str, dict[str, Any]]:
    """Return what each measure's number is: title, variant with its model, unit, direction, source, and whether it is circular.

    CLAPScores are circular where the system's queries go through the embedder that scores: they flatter that system. None: the
    system's query encoder is not known.

    Args:
        judge: what measures.
        query_encoder: of the system, loaded; None: it is not at hand.
        revision: of the system's query encoder; None: it is not known.
    """
    found: dict[str, dict[str, Any]] = {}
    flattered = _flattered(judge.embedder, query_encoder, revision) if judge.embedder is not None else None
    for name in judge.names:
        measure = MEASURES[name]
        found[name] = {
            "title": measure.title,
            "variant": variant_of(name, judge.makers()),
            "unit": measure.unit,
            "better": "higher" if measure.higher_is_better else "lower",
            "source": measure.source,
        }
        if name in SCORES:
            found[name]["circular"] = flattered
    return found


def _flattered(scorer: Embedder, query_encoder: Embedder | None, revision: str | None) -> bool | None:
    known = circular(scorer.revision, revision)
    if known is False and query_encoder is not None:
        return same_space(scorer, query_encoder)
    return known
