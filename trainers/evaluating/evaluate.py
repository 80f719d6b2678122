"""An evaluation: each mixture through the system and the baselines, measured, and all of it written down."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

import schemas
from pipelines.core.workspace import TMP, Workspace
from pipelines.run import alone
from schemas.errors import Reject, RunStopped, UserError
from schemas.ids import canonical_json
from taggers.base import Embedder
from trainers.evaluating.baselines import BASELINES, oracle_of
from trainers.evaluating.examples import Examples, shown
from trainers.evaluating.fitting import NOTES, Estimate, fitted
from trainers.evaluating.items import EXTRACTION, REMOVAL, Item, Items, Removal
from trainers.evaluating.judging import Judge, described
from trainers.evaluating.kept import Kept
from trainers.evaluating.page import PAGE, page
from trainers.evaluating.results import Evaluation, digest_of, write_results
from trainers.evaluating.summary import SYSTEM, Judged
from trainers.evaluating.systems import System
from trainers.fit.checkpoint import sweep
from trainers.shards import embedder_of

MARK = "evaluation.json"
"""Says whose evaluation a folder is."""

TOGETHER = 8
"""Mixtures, of one length and rate, that are measured together."""

Outcome = Estimate | Reject


@dataclass
class _Found:
    """What has been found so far."""

    judged: list[Judged] = field(default_factory=list)
    rejects: list[tuple[tuple[str, int, str], Reject]] = field(default_factory=list)
    notes: Counter[str] = field(default_factory=Counter)
    examples: Examples = field(default_factory=Examples)
    mixtures: list[tuple[tuple[str, int, str], str]] = field(default_factory=list)
    answers: list[tuple[tuple[str, int, str], str]] = field(default_factory=list)
    embedders: set[str | None] = field(default_factory=set)

    def add(self, item: Item, outcome: Outcome, sounds: dict[str, Any], rows: dict[str, Any]) -> None:
        """Take note of a mixture, its answer, the sound of each system and what is measured of it."""
        if isinstance(outcome, Reject):
            self.rejects.append((item.place, outcome))
            sounds, rows = ({k: v for k, v in each.items() if k != SYSTEM} for each in (sounds, rows))
        else:
            self.notes.update(outcome.notes)
            self.answers.append((item.place, hashlib.sha256(outcome.samples.tobytes()).hexdigest()))
        self.mixtures.append((item.place, item.digest()))
        self.embedders.add(embedder_of(item.record))
        self.examples.offer(item, sounds, outcome if isinstance(outcome, Reject) else None)
        about = (item.place, item.set, item.key, item.query, item.rate, len(item.mixture) / item.rate)
        self.judged.append(Judged(*about, item.classes, item.policy, rows))


def evaluate(
    workspace: Workspace,
    system: System,
    sets: Sequence[Items],
    judge: Judge,
    query_encoder: Embedder | None = None,
    keep: bool = True,
    quiet: bool = True,
    task: str = EXTRACTION,
) -> dict[str, Any]:
    """Evaluate a system; write results, rows, rejects and the page; return what ``results.json`` holds.

    Args:
        workspace: a folder of this machine, new or of an earlier evaluation of the same system.
        system: what is evaluated.
        sets: on what.
        judge: by what.
        query_encoder: loaded model that the system's queries go through, where the system itself does not know it.
        keep: whether the system's answers are kept, so that an evaluation that is stopped goes on.
        quiet: no progress.
        task: what is asked of the system: ``extraction`` or ``removal``.

    Raises:
        UserError: the folder holds something else, or a set, the system or a measure cannot be used.
        RunStopped: the system answered nothing at all; why stands in ``rejects.csv``.
    """
    found = _Found()
    with alone(workspace):
        sets = [Removal(each) for each in sets] if task == REMOVAL else sets
        if not sum(map(len, sets)):
            raise UserError("--set: holds no mixture; there is nothing to evaluate on")
        _claim(workspace, system)
        sweep(workspace)
        with (
            Kept(workspace, system) if keep and system.keeps else nullcontext() as kept,
            _bar(sum(map(len, sets)), quiet) as bar,
        ):
            for items in (batch for each in sets for batch in _batches(each)):
                _take(found, items, system, judge, kept)
                bar.advance(bar.task_ids[0], len(items))
        evaluation = _evaluation(found, system, sets, judge, query_encoder, task)
        facts = write_results(workspace, evaluation)
        workspace.write(PAGE, page(facts, evaluation.judged, shown(found.examples.chosen())).encode())
    if not facts["answered"]:
        why = ", ".join(f"{count:,} {error}" for error, count in facts["rejects"].items())
        raise RunStopped(
            f"{system.name}: not one of {facts['mixtures']:,} mixtures has an answer ({why}); the first: "
            f"{evaluation.rejects[0][2].message}"
        )
    return facts


def _take(found: _Found, items: Sequence[Item], system: System, judge: Judge, kept: Kept | None) -> None:
    outcomes = [_outcome(system, item, kept) for item in items]
    sounds = {
        # Where there is no answer, silence is measured in its place, and what is measured is thrown away.
        SYSTEM: [
            outcome.samples if isinstance(outcome, Estimate) else np.zeros_like(item.mixture)
            for item, outcome in zip(items, outcomes, strict=True)
        ],
        **{name: [answer(item) for item in items] for name, answer in BASELINES.items()},
    }
    common = judge.common(items)
    rows = {name: judge.rows(common, own) for name, own in sounds.items()}
    for at, (item, outcome) in enumerate(zip(items, outcomes, strict=True)):
        found.add(
            item,
            outcome,
            {name: own[at] for name, own in sounds.items()},
            {name: own[at] for name, own in rows.items()},
        )


def _outcome(system: System, item: Item, kept: Kept | None) -> Outcome:
    if kept is not None and (known := kept.get(item)) is not None:
        return known
    try:
        estimate = fitted(system(item), item)
    except Reject as reject:
        return reject
    if kept is not None:
        kept.put(item, estimate)
    return estimate


def _batches(items: Items) -> Iterator[list[Item]]:
    """Yield mixtures that follow each other and are of one length and rate."""
    batch: list[Item] = []
    for item in items:
        if batch and (len(batch) == TOGETHER or _form(item) != _form(batch[0])):
            yield batch
            batch = []
        batch.append(item)
    if batch:
        yield batch


def _form(item: Item) -> tuple[int, int]:
    return len(item.mixture), item.rate


def _evaluation(
    found: _Found, system: System, sets: Sequence[Items], judge: Judge, query_encoder: Embedder | None, task: str
) -> Evaluation:
    # Shards of a run and of its export hold the same mixtures in another order; numbers must not depend on it.
    judged = sorted(found.judged, key=lambda each: each.place)
    encoder = system.query_encoder or query_encoder
    stored = next(iter(found.embedders)) if system.stored and len(found.embedders) == 1 else None
    revision = encoder.revision if encoder is not None else stored
    about = {
        "earloom": schemas.__version__,
        "task": task,
        "system": {
            "name": system.name,
            "kind": system.kind,
            "revision": system.revision,
            "query_encoder": revision,
            "answers": digest_of(found.answers),
        },
        "sets": {
            each.label: {
                "kind": each.kind,
                "mixtures": sum(own.set == each.label for own in judged),
                "revision": digest_of((place, sha256) for place, sha256 in found.mixtures if place[0] == each.label),
            }
            for each in sets
        },
        "models": judge.makers(),
        "device": judge.device,
    }
    rates = sorted({each.rate for each in judged})
    systems = {
        SYSTEM: f"{system.kind} {system.name}",
        "mixture": "the mixture itself, no processing",
        "half_mixture": "0.5 times the mixture: at 0 dB it gains 3 dB of SDR, and nothing is separated",
        "silence": "zeros",
        "ideal_ratio_mask": "oracle: " + "; ".join(map(oracle_of, rates)),
    }
    rejects = [(place[0], place[2], reject) for place, reject in sorted(found.rejects, key=lambda each: each[0])]
    notes = {name: found.notes[name] for name in NOTES}
    return Evaluation(about, described(judge, encoder, revision), systems, judged, rejects, notes)


def _claim(workspace: Workspace, system: System) -> None:
    """Make the folder this system's, unless it is so; UserError if it is anything else's."""
    root, mine = Path(workspace.root), {"evaluation_of": system.name, "kind": system.kind}
    if any((folder / "run.json").exists() for folder in (root, *root.parents)):
        raise UserError(f"--out {root}: lies in a run folder; name one outside of it")
    try:
        theirs = json.loads(workspace.read(MARK))
    except FileNotFoundError:
        if any(not name.startswith(TMP) for name in os.listdir(root)):
            raise UserError(f"--out {root}: is not empty, and holds no evaluation; name a new folder") from None
        workspace.write(MARK, (canonical_json(mine) + "\n").encode())
        return
    except ValueError:
        raise UserError(f"--out {root}: its {MARK} cannot be read; name a new folder") from None
    if theirs != mine:
        raise UserError(f"--out {root}: holds the evaluation of {theirs.get('evaluation_of')}; name a new folder")


def _bar(total: int, quiet: bool) -> Progress:
    console = Console(stderr=True, highlight=False)
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=console, disable=quiet or not console.is_terminal)
    bar.add_task("", total=total)
    return bar
