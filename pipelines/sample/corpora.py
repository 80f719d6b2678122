"""Writes the sample corpora: small AudioSet, FSD50K, WavCaps and Clotho folders of synthesised sounds."""

from __future__ import annotations

from pathlib import Path

from pipelines.sample.audioset import NOT_STRONG, write_audioset
from pipelines.sample.clotho import write_clotho
from pipelines.sample.fsd50k import write_fsd50k
from pipelines.sample.wavcaps import write_wavcaps

README = """# Earloom sample corpora

Every sound here was synthesised by Earloom; none was recorded. The layouts are those of AudioSet, FSD50K,
WavCaps and Clotho, the contents are not: identifiers, authors, links and per-clip licences are made up, so
that software has something to read. The audio, the captions and the tables are all CC0.

Some rows have no file or a broken one, and a few recordings are in two corpora, sometimes in a training and
in an evaluation split, as happens in real corpora. `truth.jsonl` says of each row what was synthesised.
"""


def write_corpora(root: Path, seed: int = 0) -> dict[str, int]:
    """Write the four corpora, ``truth.jsonl`` and ``README.md`` under ``root``; return the rows per corpus.

    The same seed gives the same bytes in every file. WavCaps holds eight of the AudioSet training and two of
    its evaluation segments, and three FSD50K clips, one of them from the evaluation split. Clotho holds two
    FSD50K clips in its development split and one in its evaluation split.
    """
    root.mkdir(parents=True, exist_ok=True)
    audioset = write_audioset(root, seed)
    dev, evaluation = write_fsd50k(root, seed)
    strong = [clip for clip in audioset if clip.defect is None and NOT_STRONG.isdisjoint(clip.names)]
    wavcaps = write_wavcaps(root, seed, [*strong[:8], *strong[-2:]], [*dev[:2], evaluation[0]])
    clotho = write_clotho(root, seed, {"development": [dev[0], dev[2]], "evaluation": [dev[3]]})
    corpora = {"audioset": audioset, "fsd50k": [*dev, *evaluation], "wavcaps": wavcaps, "clotho": clotho}
    lines = [clip.truth() + "\n" for clips in corpora.values() for clip in clips]
    (root / "truth.jsonl").write_text("".join(lines), encoding="utf-8")
    (root / "README.md").write_text(README, encoding="utf-8")
    return {name: len(clips) for name, clips in corpora.items()}
