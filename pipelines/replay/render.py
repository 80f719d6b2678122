"""One line of a list, made into sound by the list's rule."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import NamedTuple

from pipelines.replay.audio import Audio
from pipelines.replay.lists import Form, Pair
from pipelines.replay.mixing import LUFS, Mixed, as_loud, at_snr, declipped
from schemas.errors import Reject
from schemas.ids import seed_for

CLIP_S = 10.0
"""Seconds of a VGGSound clip."""

RULES = {
    "snr": "the other sound is scaled so that the mean squares over all samples stand at the SNR in dB, and added; a mixture above "
    "full scale is brought to a peak of 0.9 together with its target",
    "stems": "the two published stems are added as they are; where they are not there, both clips are brought to a loudness drawn "
    "here from [-35, -25] LUFS, since the published one is in no list, and added; a mixture of these above full scale is "
    "brought to a peak of 0.9 with them",
    "mixture": "target and mixture are the published files; the other sound is their difference",
}


class Rendered(NamedTuple):
    """A mixture, where its sounds lay, and by what it was made: ``snr``, ``stems``, ``drawn`` or ``mixture``."""

    mixed: Mixed
    target_path: str
    other_path: str
    by: str


def render(audio: Audio, pair: Pair) -> Rendered:
    """Return the mixture of one line.

    Raises:
        Reject: ``missing_audio``, ``cannot_mix`` (a sound is silent, or two files of one mixture differ in length), or why a file
            cannot be decoded.
    """
    form = audio.form
    if form.rule == "stems" and audio.find(pair.target) is None and audio.find(pair.other) is None:
        return _drawn(audio, pair)
    paths = _found(audio, pair.target), _found(audio, pair.other)
    target, other = (audio.read(path, form.seconds) for path in paths)
    if len(target) != len(other):
        raise Reject("cannot_mix", f"its files hold {len(target)} and {len(other)} samples, and must be of one length")
    if form.rule == "snr":
        return Rendered(at_snr(target, other, pair.snr_db or 0), *paths, "snr")
    if form.rule == "stems":
        return Rendered(Mixed(target, other, target + other, 1.0, 1.0), *paths, "stems")
    return Rendered(Mixed(target, other - target, other, 1.0, 1.0), *paths, "mixture")


def _drawn(audio: Audio, pair: Pair) -> Rendered:
    """Mix VGGSound's clips themselves, each at a loudness that is a function of the mixture's name and the clip's place in it."""
    names = pair.target.stem.split("+++")
    paths = [audio.named(name) for name in names]
    for name, path in zip(names, paths, strict=True):
        if path is None:
            raise Reject("missing_audio", f"neither the stem {pair.target} nor the clip {name} is there")
    sounds = [
        as_loud(audio.read(str(path), CLIP_S), audio.form.rate, _lufs(pair.target.stem, place))
        for place, path in enumerate(paths)
    ]
    return Rendered(declipped(sounds[0], sounds[1], 1.0), str(paths[0]), str(paths[1]), "drawn")


def _lufs(mixture: str, place: int) -> float:
    low, high = LUFS
    return low + (high - low) * seed_for(0, "replay", f"{mixture}/{place}") / 2**63


def _found(audio: Audio, file: PurePosixPath) -> str:
    path = audio.find(file)
    if path is None:
        raise Reject("missing_audio", f"{file.name} is not there, under any extension")
    return path


def rule_of(form: Form) -> str:
    """Return a list's rule in words."""
    return RULES[form.rule]
