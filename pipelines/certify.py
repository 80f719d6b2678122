"""The certificate of a run's mixtures: what was promised of them, measured again from the tables and the samples themselves."""

from __future__ import annotations

import json
import tarfile
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import soundfile

from pipelines.catalog.query import damaged
from pipelines.catalog.recount import recount, samples
from pipelines.core.workspace import Workspace
from pipelines.publish.sealed import open_sealed
from pipelines.seal import seal_folder
from pipelines.shards.writing import host_faults
from pipelines.summing import Summed, summed
from schemas.errors import RunStopped, UserError
from schemas.mixing import MixtureSet

FOLDER = "certificate"
PATH = f"{FOLDER}/certificate.json"
SAMPLE = 1000
"""Mixtures whose samples are read and summed, unless all are asked for."""

APART = ("disjoint", "plausible", "zero_target")
"""Policies that promise that no two sources share a class."""


def certify(workspace: Workspace, sample: int | None = SAMPLE) -> dict[str, Any]:
    """Return the certificate of a finished run, as plain values; nothing is written.

    Args:
        workspace: the run.
        sample: mixtures whose sound is read and summed; None: all.

    Returns:
        ``run`` (the recipe's name, a hash of what its mixtures are, the sets' rules), ``promises`` (each with how many mixtures, sources or
        pairs break it; ``holds`` is true where none does), ``collision_rate`` (of all policies that promise none; shares in [0, 1],
        null where there are no pairs), ``sums``, and what `pipelines.catalog.recount.recount` counts.

    Raises:
        UserError: the folder holds no finished run, or the run no mixtures.
        RunStopped: files of the run are missing or altered, or its seal was.
    """
    run = open_sealed(workspace)
    if stopped := damaged(workspace):  # a table that lost a partition would otherwise be certified without it
        raise stopped
    sets = {each.name: each for each in run.recipe.mix.every}
    counted = recount(workspace, {name: bounds for name, each in sets.items() if (bounds := _uniform(each))})
    if not counted["sets"]:
        raise UserError(f"{workspace.root}: the run holds no mixtures, so that there is nothing to certify")
    try:
        sums = Counter(summed(workspace, row, clips) for row, clips in samples(workspace, sample))
    except (soundfile.LibsndfileError, tarfile.TarError, KeyError, IndexError, ValueError):
        # The tables are whole: what is not where they say, or not as they say, was altered in the tars.
        raise RunStopped(
            f"{workspace.root}: sound in it was altered and cannot be read; `earloom verify` says where"
        ) from None
    return {
        "run": {
            "recipe": run.recipe.name,
            "content": run.content("mixtures"),
            "sets": {name: each.model_dump(mode="json", include=_RULES) for name, each in sets.items()},
            "decontaminate": run.recipe.data.decontaminate,
        },
        "promises": _promises(counted, sums, sets.values()),
        "collision_rate": {by: _rate(rows) for by, rows in counted["collisions"].items()},
        "sums": _sums(sums),
        **counted,
    }


def write_certificate(workspace: Workspace, sample: int | None = SAMPLE) -> dict[str, Any]:
    """Write ``certificate/certificate.json`` and its seal into a finished run; return the certificate.

    Raises as :func:`certify`, and RunStopped where the run folder cannot be written.
    """
    certificate = certify(workspace, sample)
    with host_faults(workspace.path(FOLDER)):
        workspace.write(PATH, (json.dumps(certificate, indent=1, ensure_ascii=False) + "\n").encode())
        seal_folder(workspace, FOLDER)
    return certificate


_RULES = {"policy", "shares", "level", "peak", "conflict", "apart", "sources", "targets", "duration_s", "inferred"}
"""What a certificate repeats of a set."""


def _uniform(chosen: MixtureSet) -> tuple[float, float] | None:
    """Return the bounds between which a set's SNR is drawn; None: it is not drawn uniformly over an interval."""
    level = chosen.level
    drawn = level.rule in ("snr", "peak_snr") and not level.whole and level.range[0] < level.range[1]
    return level.range if drawn else None


def _rate(rows: Iterable[dict[str, Any]]) -> dict[str, Any]:
    found: Counter[str] = Counter()
    for row in rows:
        if row["policy"] in APART:
            found.update({key: row[key] for key in ("pairs", "equal", "equal_or_related")})
    pairs = found["pairs"]
    shares = {f"{key}_share": found[key] / pairs if pairs else None for key in ("equal", "equal_or_related")}
    return {"pairs": pairs, "equal": found["equal"], "equal_or_related": found["equal_or_related"], **shares}


def _sums(sums: Mapping[Summed, int]) -> dict[str, Any]:
    by: Counter[str] = Counter()
    for found, count in sums.items():
        by[found.how] += count
    return {
        "samples": by.total(),
        "chosen": "the first in order of mixture_id, which is a hash",
        "by": dict(sorted(by.items())),
        "largest_error": max((found.error for found in sums), default=0),
        "largest_target_error": max((found.target_error for found in sums), default=0),
        "wrong": sum(count for found, count in sums.items() if found.error or found.target_error),
    }


def _promises(counted: dict[str, Any], sums: Mapping[Summed, int], sets: Iterable[MixtureSet]) -> list[dict[str, Any]]:
    leaks, unknown = counted["leaks"], counted["unknown"]
    broken = {
        "no two sources share a label, or one above or below": _rate(counted["collisions"]["labels"])[
            "equal_or_related"
        ],
        "nor any class that counts as present": _rate(counted["collisions"]["present"])["equal_or_related"],
        "every source has a known class": unknown["sources_without_class"],
        "what is asked for in vain is not there": counted["zero_target_heard"],
        "every source is a clip of the run, with its group": leaks["sources_without_clip_or_group"],
        "every source is of its mixture's split": leaks["sources_of_another_split"],
        "no source is withheld": leaks["sources_withheld"],
        "no group stands in two splits": leaks["groups_in_several_splits"],
        "no recording stands in two splits": leaks["recordings_in_several_splits"],
        "no two sources of a mixture are of one group": leaks["mixtures_of_one_group"],
        "the stems sum to the mixture, sample by sample": _sums(sums)["wrong"],
    }
    if all("uploader" in each.apart for each in sets):
        broken["no two sources of a mixture are of one uploader"] = leaks["mixtures_of_one_uploader"]
    return [{"promise": words, "broken": count, "holds": count == 0} for words, count in broken.items()]
