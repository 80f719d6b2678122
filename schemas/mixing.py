"""How mixtures are made: sets of mixtures, level rules, policies and words, as the part ``mix`` of a recipe."""

from __future__ import annotations

import math
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from schemas.section import Decibels, Name, Seconds, Section, each_once, pairs_as_floats

Rule = Literal["snr", "energy_ratio", "rms_match", "peak_snr", "gain", "lufs", "over_background"]
Policy = Literal["disjoint", "plausible", "same_class", "zero_target"]
LUFS_RANGE = (-70.0, 0.0)


class Level(Section):
    """How loud the sources are, one against another."""

    rule: Rule = Field(
        "snr",
        description="snr: target to the sum of all interferers; energy_ratio: target to each interferer (Hybrid-Sep); rms_match: each "
        "interferer is brought to the target's RMS, then moved by a drawn gain, and so is their sum (AudioSep); peak_snr: all "
        "sources are peak-normalised, then snr (LASS-Net); gain: each source has a drawn linear gain over the number of sources "
        "(CLIPSep); lufs: each source has a drawn loudness (VGGSound's list); over_background: targets and interferers stand so far "
        "over the background (DCASE 2026 task 4)",
    )
    range: tuple[float, float] = Field(
        (-15.0, 15.0),
        description="what is drawn uniformly: dB; linear with gain; LUFS with lufs; of targets with over_background",
    )
    interferers: tuple[Decibels, Decibels] = Field(
        (0.0, 15.0), description="with over_background: dB of interferers over the background"
    )
    whole: bool = Field(False, description="true: whole decibels or LUFS are drawn, both ends included")
    energy: Literal["active", "all"] = Field(
        "active",
        description="energy is of the samples where a source sounds, or of all samples, as most published code takes it",
    )

    @model_validator(mode="before")
    @classmethod
    def _pairs(cls, value: Any) -> Any:
        return pairs_as_floats(value, "range", "interferers")

    @model_validator(mode="after")
    def _possible(self) -> Level:
        for name in ("range", "interferers"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"the lower bound of {name} is above the upper; write [low, high]")
        low, high = self.range
        if self.rule == "gain" and low <= 0:
            raise ValueError("a gain must be above 0; write [low, high] such as [0.5, 1.5]")
        if self.rule == "lufs" and not (LUFS_RANGE[0] <= low and high <= LUFS_RANGE[1]):
            raise ValueError("loudness lies between -70 and 0 LUFS; write [low, high] such as [-35, -25]")
        if self.rule not in ("gain", "lufs") and not (low >= -120 and high <= 120):
            raise ValueError("decibels lie between -120 and 120; write [low, high] such as [-15, 15]")
        if self.whole:
            self._whole_numbers()
        return self

    def _whole_numbers(self) -> None:
        """Refuse whole numbers where there is none to draw."""
        if self.rule == "gain":
            raise ValueError("whole is of decibels and LUFS, and a gain is linear; leave whole out")
        drawn = ("range", "interferers") if self.rule == "over_background" else ("range",)
        for name in drawn:
            low, high = getattr(self, name)
            if math.ceil(low) > math.floor(high):
                raise ValueError(
                    f"whole: {name} [{low:g}, {high:g}] holds no whole number; widen it or leave whole out"
                )


class Peak(Section):
    """What is done with a mixture that is too loud: it and all its sources are turned down alike."""

    above: float = Field(0.9, gt=0, le=4, description="largest magnitude that is left as it is, full scale = 1")
    to: float = Field(0.9, gt=0, le=1, description="largest magnitude of a mixture that is turned down")

    @model_validator(mode="after")
    def _down(self) -> Peak:
        if self.to > self.above:
            raise ValueError("to is above `above`: a mixture that is too loud would be turned up")
        return self


class Conflict(Section):
    """Which classes may not be mixed, beside equal ones, ancestors and descendants."""

    siblings: bool = Field(False, description="true: nor two children of one parent that is a sound itself")
    confusable: bool = Field(False, description="true: nor classes that sound alike, configs/labels/confusable.csv")


class Words(Section):
    """What mixtures are asked by."""

    query: Literal["caption", "label", "keyword"] = Field(
        "caption",
        description="caption: the publisher's caption, else the label; label: the names of the classes; keyword: one name per source, "
        "joined into one phrase (Hybrid-Sep)",
    )
    templates: str = Field(
        "prompts/instructions.yaml", description="file of instruction patterns, relative to configs/"
    )
    prompts: tuple[float, float, float] = Field(
        (1.0, 0.0, 0.0),
        description="shares of mixtures that are asked for by what is wanted, by what is not, and by both (CLAPSep: 0.25, 0.25, 0.5)",
    )
    relative: float = Field(
        0.0,
        ge=0,
        le=1,
        description="share of mixtures that are asked for by order or level (`the second sound`, `the louder one`) where evidence allows",
    )

    @model_validator(mode="before")
    @classmethod
    def _shares(cls, value: Any) -> Any:
        value = pairs_as_floats(value, "prompts")
        if isinstance(value, dict) and isinstance(value.get("prompts"), tuple) and len(value["prompts"]) != 3:
            raise ValueError("prompts are three shares that sum to 1, such as [0.25, 0.25, 0.5]")
        return value

    @field_validator("prompts")
    @classmethod
    def _whole(cls, value: tuple[float, float, float]) -> tuple[float, float, float]:
        if min(value) < 0 or abs(sum(value) - 1) > 1e-9:
            raise ValueError("shares must be at least 0 and sum to 1, such as [0.25, 0.25, 0.5]")
        return value


class Background(Section):
    """A quiet bed under each mixture, which is neither target nor interferer."""

    dataset: str = Field(description="name of the dataset whose clips are beds; they are nothing else then")
    level_db: tuple[Decibels, Decibels] = Field(
        (-30.0, -20.0),
        description="dB of the bed's energy against the target's; with over_background it is the bed that has 0 dB",
    )

    @model_validator(mode="before")
    @classmethod
    def _pairs(cls, value: Any) -> Any:
        return pairs_as_floats(value, "level_db")

    @field_validator("level_db")
    @classmethod
    def _rising(cls, value: tuple[float, float]) -> tuple[float, float]:
        if value[0] > value[1]:
            raise ValueError("the lower bound is above the upper; write [low, high]")
        return value


class MixtureSet(Section):
    """One set of mixtures that are made by one rule."""

    name: Name = Field("mix", max_length=20, description="its name in tables and shards")
    datasets: list[str] = Field([], description="names of the datasets whose clips are mixed; empty: all")
    splits: list[Name] = Field([], description="splits that it is made of; empty: all")
    words_of: Literal["any", "caption", "label"] = Field(
        "any", description="caption: clips with a publisher's caption alone; label: those without one alone"
    )
    per_clip: int = Field(1, ge=0, le=1000, description="mixtures in which each clip is the target; 0: no mixtures")
    count: int | None = Field(
        None,
        ge=1,
        le=100_000_000,
        description="mixtures of each split in all, instead of per_clip; spread as `balance` says",
    )
    balance: list[Literal["class", "dataset", "duration"]] = Field(
        [],
        description="with count: targets are drawn so that classes, datasets, or tenths of the durations stand equally",
    )
    quotas: dict[str, float] = Field({}, description="with count: dataset -> share of the targets; shares sum to 1")
    most_per_clip: int = Field(
        50, ge=1, le=100_000, description="with count: most mixtures in which a clip is the target"
    )
    policy: Policy = Field(
        "disjoint",
        description="disjoint: sources share no class; plausible: likewise, and their classes are known to occur together; same_class: an "
        "interferer has the target's class and the words tell them apart; zero_target: what is asked for is not there",
    )
    shares: dict[Policy, float] = Field(
        {}, description="policy -> share of the mixtures, instead of one policy; shares sum to 1"
    )
    sources: tuple[int, int] = Field(
        (2, 2), description="least and most sources of a mixture, drawn uniformly; background not counted"
    )
    targets: tuple[int, int] = Field((1, 1), description="least and most of them that are asked for together")
    duration_s: Seconds = Field(
        10.0, ge=0.1, description="seconds, at least 0.1; longer clips are cropped, shorter ones padded or looped"
    )
    crop: Literal["random", "start", "centre"] = Field("random", description="which part of a longer clip")
    short: Literal["pad", "loop"] = Field("pad", description="what is done with a shorter clip")
    offset: Literal["random", "start"] = Field("random", description="where a padded clip lies")
    overlap: tuple[float, float] = Field(
        (0.0, 1.0),
        description="share of the shortest source that sounds together with another; what else is drawn is drawn again",
    )
    level: Level = Level()
    peak: Peak = Peak()
    conflict: Conflict = Conflict()
    words: Words = Words()
    inferred: bool = Field(
        False, description="true: clips whose classes come from words or listeners alone are mixed too"
    )
    apart: list[Literal["group", "uploader"]] = Field(
        ["group", "uploader"], description="sources of a mixture differ in these; the group always counts"
    )
    background: Background | None = None
    rirs: str | None = Field(
        None,
        min_length=1,
        description="folder of room impulse responses, relative to data.root; each source is heard through one of them",
    )

    @model_validator(mode="before")
    @classmethod
    def _pairs(cls, value: Any) -> Any:
        value = pairs_as_floats(value, "overlap")
        if isinstance(value, dict):
            for name in ("sources", "targets"):
                if isinstance(value.get(name), list):
                    value = {**value, name: tuple(value[name])}
        return value

    @field_validator("datasets", "splits", "balance", "apart")
    @classmethod
    def _once(cls, value: list[str]) -> list[str]:
        return each_once(value)

    @field_validator("quotas", "shares")
    @classmethod
    def _whole(cls, value: dict[str, float]) -> dict[str, float]:
        if value and (min(value.values()) < 0 or abs(sum(value.values()) - 1) > 1e-9):
            raise ValueError("shares must be at least 0 and sum to 1")
        return value

    @model_validator(mode="after")
    def _possible(self) -> MixtureSet:
        for name in ("sources", "targets", "overlap"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"the lower bound of {name} is above the upper; write [low, high]")
        if self.targets[0] < 1 or self.sources[0] <= self.targets[1]:
            raise ValueError(
                "targets must be at least 1, and fewer than the fewest sources, so that something is in their way"
            )
        if self.sources[1] > 16:
            raise ValueError("sources: at most 16")
        if not 0 <= self.overlap[0] <= self.overlap[1] <= 1:
            raise ValueError("overlap lies between 0 and 1")
        if self.count is None and (self.balance or self.quotas):
            raise ValueError("balance and quotas are of a count; say how many mixtures with count")
        if self.level.rule == "over_background" and self.background is None:
            raise ValueError("over_background needs a background; name its dataset under background")
        self._served()
        return self

    def _served(self) -> None:
        """Refuse datasets that are named here and whose clips are never mixed."""
        bed = self.background.dataset if self.background else None
        if bed in (*self.datasets, *self.quotas):
            raise ValueError(
                f"{bed!r} is the background, and its clips are nothing else; leave it out of datasets and quotas"
            )
        for name in self.quotas:
            if self.datasets and name not in self.datasets:
                raise ValueError(
                    f"quotas: {name!r} is none of datasets ({', '.join(self.datasets)}); name it there or leave it out"
                )

    @property
    def named_datasets(self) -> dict[str, list[str]]:
        """Key of a setting -> the datasets that it names."""
        bed = [self.background.dataset] if self.background else []
        return {"datasets": self.datasets, "quotas": list(self.quotas), "background.dataset": bed}

    @property
    def policies(self) -> dict[Policy, float]:
        """Policy -> share of the mixtures."""
        return self.shares or {self.policy: 1.0}


class Paraphrase(Section):
    """A language model that says the instruction patterns in other words."""

    endpoint: str = Field(description="one of `endpoints`")
    prompt: str = Field("prompts/paraphrase.yaml", description="file of the prompt, relative to configs/")
    per_pattern: int = Field(5, ge=1, le=50, description="further wordings that are asked for of each pattern")


class Mix(MixtureSet):
    """Which mixtures are made: one set by the settings here, or several that each change some of these settings."""

    sets: list[MixtureSet] = Field(
        [], description="sets of mixtures, each with its name and what differs from the settings above; empty: one set"
    )
    paraphrase: Paraphrase | None = Field(
        None, description="if given, instructions are also drawn from a model's wordings"
    )

    @model_validator(mode="before")
    @classmethod
    def _inherit(cls, value: Any) -> Any:
        """Lay each set over the settings that stand beside the sets."""
        if not isinstance(value, dict) or not isinstance(value.get("sets"), list):
            return value
        common = {key: item for key, item in value.items() if key not in ("sets", "name", "paraphrase")}
        sets = [_over(common, each) if isinstance(each, dict) else each for each in value["sets"]]
        return {**value, "sets": sets}

    @model_validator(mode="after")
    def _named(self) -> Mix:
        names = [each.name for each in self.sets]
        for number, name in enumerate(names):
            if name in names[:number]:
                raise ValueError(f"two sets are called {name!r}; give each a name of its own")
            if name.lower() in map(str.lower, names[:number]):  # their files would be one where case does not count
                raise ValueError(f"another set is called {name!r} but for its case; give each a name of its own")
        return self

    @property
    def every(self) -> tuple[MixtureSet, ...]:
        """All sets that mixtures are made of."""
        own = MixtureSet(**{name: getattr(self, name) for name in MixtureSet.model_fields})
        return tuple(each for each in (self.sets or [own]) if each.per_clip or each.count)


WHOLE = ("shares", "quotas")
"""Settings that hold shares of a whole: one set's take the place of the common ones."""

INSTEAD = {"policy": "shares", "per_clip": "count"}
"""Settings -> what would win over them: a set that names the one does without the common other."""


def _over(common: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """Return one set's settings laid over the common ones, sections within sections too."""
    both = {key: item for key, item in common.items() if not any(INSTEAD.get(name) == key for name in own)}
    for key, item in own.items():
        inner = both.get(key)
        both[key] = (
            {**inner, **item} if isinstance(inner, dict) and isinstance(item, dict) and key not in WHOLE else item
        )
    return both
