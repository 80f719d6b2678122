"""The recipe: everything that determines a run, as pydantic models that forgive no misspelling; `schemas.load` reads one."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from schemas.endpoints import Ask, Endpoint, Judge, Transcribe
from schemas.mixing import Mix
from schemas.section import Name, Seconds, Section, each_once


class Dataset(Section):
    """One dataset: which adapter reads it, where it lies, and what its splits are called here."""

    adapter: str
    name: Name | None = Field(None, max_length=20, description="name in identifiers; the adapter's own if not given")
    path: str = Field(".", description="folder, relative to data.root")
    splits: dict[str, Name] = Field(
        {}, description="publisher's split -> our split; what is not named keeps the adapter's own"
    )
    optional: bool = Field(False, description="true: a folder that is not there is passed over, and said so")

    @property
    def called(self) -> str:
        """Its name in identifiers."""
        return self.name or self.adapter


class Data(Section):
    """Where the recordings are."""

    root: str | None = Field(None, description="folder that holds the datasets")
    datasets: list[Dataset] = Field(min_length=1)
    licence: Literal["any", "commercial"] = Field(
        "any", description="commercial: only recordings whose licence allows commercial use and changes"
    )
    decontaminate: list[str] = Field(
        [], description="evaluation sets, `dataset` or `dataset/split`: what shares a recording with them is left out"
    )

    @model_validator(mode="before")
    @classmethod
    def _names(cls, value: Any) -> Any:
        if isinstance(value, dict) and isinstance(value.get("datasets"), list):
            value = dict(value)
            value["datasets"] = [{"adapter": item} if isinstance(item, str) else item for item in value["datasets"]]
        return value

    @field_validator("decontaminate")
    @classmethod
    def _once(cls, value: list[str]) -> list[str]:
        for name in value:
            if value.count(name) > 1:
                raise ValueError(f"{name!r} stands twice; name each set once")
        return value


class Audio(Section):
    """The clip store: mono FLAC, 16 bit, one sample rate."""

    sample_rate: int = Field(32000, ge=4000, le=192000, description="samples per second")
    channels: Literal["mean", "left", "loudest"] = Field("mean", description="what is kept of several channels")
    clip_s: Seconds = Field(10.0, description="longest clip, in seconds")
    windows: Literal["first", "centre", "loudest", "all"] = Field(
        "first", description="of a longer recording: one stretch of clip_s seconds, or all of it in pieces"
    )
    hop_s: Seconds | None = Field(
        None, description="with windows: all, seconds from one clip's start to the next's; clip_s if not given"
    )
    min_s: float = Field(0.1, gt=0, le=60, description="shortest clip, in seconds; shorter ones are rejected")


class Video(Section):
    """What is kept of films beside their sound."""

    frames: int = Field(0, ge=0, le=64, description="pictures per clip, spread evenly; 0: none")
    height: int = Field(
        336, ge=16, le=2160, description="most pixels from top to bottom; smaller pictures stay as they are"
    )


class Groups(Section):
    """Which clips belong together: a group is used in one split alone."""

    val: float = Field(0.0, ge=0, lt=1, description="share of the groups that stand in train alone that goes to val")
    test: float = Field(0.0, ge=0, lt=1, description="likewise to test")

    @model_validator(mode="after")
    def _some_left(self) -> Groups:
        if self.val + self.test >= 1:
            raise ValueError("val and test leave nothing to train on; their sum must be below 1")
        return self


class ModelChoice(Section):
    """A model of ``taggers``, by its name alone or with what is set of it."""

    use: str = Field(description="name of the model; `earloom models list` shows them")
    name: Name | None = Field(None, max_length=40, description="its name in the tables; `use` if not given")
    settings: dict[str, Any] = Field({}, description="what may be set of it; `earloom models list` shows that too")
    gpus: float | None = Field(None, gt=0, le=16, description="share of a GPU that it gets; its own wish if not given")


class ChatChoice(ModelChoice):
    """A model of ``taggers`` that answers questions, and the questions."""

    chain: str = Field("prompts/audiosetcaps_listen.yaml", description="file of questions, relative to configs/")


class ZeroShot(Section):
    """Tags through embedders: the classes whose names lie nearest to the sound."""

    prompts: str = Field("prompts/zero_shot.yaml", description="file of templates, relative to configs/")
    classes: list[str] = Field([], description="names or ids of the ontology's classes; empty: all that are labels")
    top: int = Field(5, ge=1, le=100, description="most tags of a clip")
    least: float = Field(0.2, ge=0, le=1, description="least share of a tag among the classes that are asked for")


class Listen(Section):
    """Who listens. The publisher's labels are always heard."""

    listeners: list[ModelChoice] = Field([ModelChoice(use="facts"), ModelChoice(use="signal")])
    embedders: list[ModelChoice] = Field([], description="models that embed sounds and words, and score captions")
    zero_shot: ZeroShot | None = Field(None, description="if given, every embedder tags too")
    chats: list[ChatChoice] = Field(
        [], description="models that answer questions about the sound, in the run's own workers"
    )
    ask: list[Ask] = Field([], description="questions about the sound or the pictures, for models behind endpoints")
    transcribe: Transcribe | None = Field(None, description="if given, what is said is written down")
    device: str = Field("cpu", description="device that models are loaded on, e.g. `cpu`, `cuda`")

    @model_validator(mode="before")
    @classmethod
    def _names(cls, value: Any) -> Any:
        if isinstance(value, dict):
            value = dict(value)
            for key in ("listeners", "embedders", "chats"):
                if isinstance(value.get(key), list):
                    value[key] = [{"use": item} if isinstance(item, str) else item for item in value[key]]
        return value

    @model_validator(mode="after")
    def _some_to_tag(self) -> Listen:
        if self.zero_shot and not self.embedders:
            raise ValueError("zero_shot tags through embedders, and there are none; name one under listen.embedders")
        return self


class Writer(Section):
    """Captions that a language model behind an endpoint writes from the evidence."""

    name: Name = Field(max_length=40, description="the writer's name in the tables; the stage is write_<name>")
    endpoint: str = Field(description="one of `endpoints`")
    prompt: str = Field("prompts/earloom_write.yaml", description="file of the prompt, relative to configs/")
    styles: list[Name] = Field([], description="some of the prompt's styles; empty: all of them")
    languages: list[str] = Field(["en"], min_length=1, description="languages that are written in, BCP 47")
    candidates: int = Field(
        1, ge=1, le=100, description="candidates per style and language, each with a seed of its own"
    )
    pack: int = Field(1, ge=1, le=100, description="clips that are asked about in one request")

    @field_validator("name")
    @classmethod
    def _own_name(cls, value: str) -> str:
        if value in ("grammar", "published"):
            raise ValueError("is the name of other captions in the tables; choose another")
        return value

    @field_validator("languages")
    @classmethod
    def _tags(cls, value: list[str]) -> list[str]:
        for tag in value:
            if not re.fullmatch(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*", tag):
                raise ValueError(f"{tag!r} is no language; write a tag such as en, de or pt-BR")
        return value

    @field_validator("styles", "languages")
    @classmethod
    def _each_once(cls, value: list[str]) -> list[str]:
        return each_once(value)


class Describe(Section):
    """Who writes captions."""

    published: bool = Field(True, description="false: captions that came with a dataset are evidence, not candidates")
    phrases: str = Field("prompts/grammar.yaml", description="phrase file, relative to configs/")
    styles: list[Literal["short", "detailed", "temporal"]] = Field(
        ["short", "detailed", "temporal"], description="styles that the grammar writes in; empty: it writes nothing"
    )
    candidates: int = Field(2, ge=1, le=100, description="the grammar's candidates per style")
    write: list[Writer] = Field([], description="language models that write beside the grammar")
    rounds: int = Field(
        1,
        ge=1,
        le=10,
        description="most rounds: in each after the first, the clips are written for again that have no good caption",
    )

    @model_validator(mode="after")
    def _some_to_write_again(self) -> Describe:
        if self.rounds > 1 and not self.write:
            raise ValueError("rounds are for those who can do better, and write names none; leave rounds at 1")
        return self


class Refine(Section):
    """Which captions are kept."""

    false_accepts: float | None = Field(
        0.05,
        gt=0,
        lt=1,
        description="most of the wrong captions that may be accepted, a share; null: captions are judged by agreement alone",
    )
    min_agreement: float = Field(
        0.75,
        ge=0,
        le=1,
        description="least share of claims that evidence must support, where no such rate is asked for or a run is too small for one",
    )
    sentences: bool = Field(
        False, description="true: sounds are also known by sentence embeddings of their names; needs the extra `text`"
    )
    trim: bool = Field(
        False,
        description="true: where no caption of a clip is good enough, those with unsupported clauses are proposed without them",
    )
    banned: list[str] = Field([], description="words and phrases that may not stand in a caption, in any case")
    judge: Judge | None = Field(None, description="if given, a language model judges the claims of every caption too")


class Unify(Section):
    """How names and words are brought onto the ontology, beside the curated tables."""

    embeddings: float | None = Field(
        None,
        gt=0,
        le=1,
        description="least cosine of sentence embeddings by which a name that no table knows is taken for a class; null: never; needs the "
        "extra `text`",
    )
    endpoint: str | None = Field(
        None, description="one of `endpoints`, asked for the class of names that are still unknown"
    )
    prompt: str = Field("prompts/categorise.yaml", description="file of that question, relative to configs/")
    tags: str | None = Field(
        None, description="one of `endpoints`, asked for the sounds that each caption tells of (HSM-TSS)"
    )
    tags_prompt: str = Field("prompts/extract_tags.yaml", description="file of that question, relative to configs/")
    heard: float | None = Field(
        0.5,
        gt=0,
        lt=1,
        description="a class that a listener hears with at least this calibrated probability counts as present where clips are mixed, "
        "though unlabelled; null: only labels and words count",
    )
    review: str | None = Field(
        None,
        description="CSV file of names that a person has looked at, relative to data.root; it wins over everything",
    )


class Shards(Section):
    """How large a shard may grow; a partition of the run begins a new one."""

    max_samples: int = Field(1000, ge=1)
    max_mb: int = Field(512, ge=1, description="megabytes of 10^6 bytes")
    mixtures: Literal["stored", "recipe"] = Field(
        "stored",
        description="stored: rendered sound; recipe: the sources and how they are mixed, which the reader then does",
    )
    members: list[Literal["target", "residual", "stems"]] = Field(
        ["target"], description="with stored: what a sample holds beside the mixture"
    )
    embedder: str | None = Field(
        None,
        description="one of listen.embedders: samples of mixtures also hold its embeddings of the query and of the target",
    )
    encoding: Literal["flac", "wav"] = Field("flac", description="with stored: how sound is kept; wav: PCM of 16 bit")

    @field_validator("members")
    @classmethod
    def _once(cls, value: list[str]) -> list[str]:
        return each_once(value)


OUR_SPLITS = ("train", "val", "test", "dev", "development")
"""Splits that adapters give of their own accord; any other is one that a dataset's ``splits`` names."""


class Recipe(Section):
    """Everything that determines a run; where and on what it runs is not part of it."""

    name: Name
    seed: int = Field(0, ge=0, lt=2**63)
    partitions: int = Field(8, ge=1, le=65536, description="pieces of work; frozen when the run is first planned")
    endpoints: dict[Name, Endpoint] = Field(
        {}, description="servers that answer over HTTP, by the names that stages use"
    )
    data: Data
    audio: Audio = Audio()
    video: Video = Video()
    groups: Groups = Groups()
    listen: Listen = Listen()
    describe: Describe = Describe()
    refine: Refine = Refine()
    unify: Unify = Unify()
    mix: Mix = Mix()
    shards: Shards = Shards()

    @model_validator(mode="after")
    def _mixed_of_what_there_is(self) -> Recipe:
        """Refuse sets of mixtures of datasets and splits that the recipe does not have."""
        datasets = [each.called for each in self.data.datasets]
        splits = [*OUR_SPLITS, *(name for each in self.data.datasets for name in each.splits.values())]
        for number, chosen in enumerate(self.mix.sets or [self.mix]):
            place = f"mix.sets.{number}" if self.mix.sets else "mix"
            for key, names in chosen.named_datasets.items():
                for name in names:
                    if name not in datasets:
                        known = ", ".join(datasets)
                        raise ValueError(f"{place}.{key}: {name!r} is none of data.datasets; they are called {known}")
            for name in chosen.splits:
                if name not in splits:
                    known = ", ".join(dict.fromkeys(splits))
                    raise ValueError(
                        f"{place}.splits: {name!r} is no split ({known}); name it in a dataset's splits too"
                    )
        return self
