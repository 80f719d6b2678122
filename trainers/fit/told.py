"""What is told of a training while it runs: its history, TensorBoard's files, sounds to listen to, and a bar or lines for whoever waits."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch.utils.tensorboard import SummaryWriter

from pipelines.core.workspace import Workspace
from trainers.fit.history import History
from trainers.fit.task import Sound

BOARD, SOUNDS = "tensorboard", "sounds"


class Speed:
    """Where time went since it was made.

    Attributes:
        samples: that all ranks have taken.
    """

    def __init__(self) -> None:
        self.samples, self._waited, self._apart, self._since = 0, 0.0, 0.0, time.perf_counter()

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Count the block as waiting for data."""
        began = time.perf_counter()
        yield
        self._waited += time.perf_counter() - began

    @contextlib.contextmanager
    def apart(self) -> Iterator[None]:
        """Count the block as no training at all."""
        began = time.perf_counter()
        yield
        self._apart += time.perf_counter() - began

    def told(self) -> tuple[float, float]:
        """Return samples per second, and the share of the time in which data were waited for, in [0, 1]."""
        seconds = time.perf_counter() - self._since - self._apart
        return self.samples / seconds, self._waited / seconds


class Teller:
    """Tells of a training on its first rank, and is silent on others.

    Args:
        workspace: the training's folder, of this machine.
        step: steps that are done.
        steps: in all.
        speaks: this is the first rank.
        quiet: no bar and no lines.
    """

    def __init__(self, workspace: Workspace, step: int, steps: int, speaks: bool, quiet: bool) -> None:
        self.workspace, self.steps, self.speaks, self.quiet = workspace, steps, speaks, quiet
        self.bar: Progress | None = None
        if not speaks:
            return
        self.history = History(workspace, step)
        # Of steps that are taken again, the board shows what is written last.
        self.board = SummaryWriter(workspace.path(BOARD), purge_step=step + 1)
        console = Console(stderr=True, highlight=False)
        if not quiet and console.is_terminal:
            text = TextColumn("{task.fields[told]}")
            self.bar = Progress(BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), text, console=console)
            self.bar.add_task("", total=steps, completed=step, told="")
            self.bar.start()

    def close(self) -> None:
        """Stop telling; called also when the training is stopped."""
        if self.bar is not None:
            self.bar.stop()
        if self.speaks:
            self.board.close()

    def stepped(self, step: int) -> None:
        """Take note of a step."""
        if self.bar is not None:
            self.bar.update(self.bar.task_ids[0], completed=step)

    def logged(self, step: int, line: dict[str, Any], speed: Speed) -> None:
        """Tell of the steps since the line before."""
        if not self.speaks:
            return
        rate, waited = speed.told()
        self.history.write({"step": step, **line})
        speeds = {"speed/samples_per_s": rate, "speed/data_wait_share": waited}
        for name, value in [*_scalars(line, "train"), *speeds.items()]:
            self.board.add_scalar(name, value, step)
        self._say(step, f"loss {line['loss']:.4g}, {rate:,.1f} samples/s, {waited:.0%} waiting for data")

    def judged(self, step: int, epoch: int, summary: dict[str, Any], sounds: Iterator[Sound]) -> None:
        """Tell of a judgement."""
        self.history.write({"step": step, "epoch": epoch, "judged": summary})
        for name, value in _scalars(summary, "held_out"):
            self.board.add_scalar(name, value, step)
        for sound in sounds:
            self._sound(sound, step)
        self.board.flush()
        watched = summary["watched"]
        self._say(step, "held out: " + ("unknown" if watched is None else f"{watched:.2f}"))

    def _sound(self, sound: Sound, step: int) -> None:
        """Keep a sound: on the board as often as it is made, in the folder the latest."""
        folder = f"{SOUNDS}/{sound.name}"
        self.workspace.write(f"{folder}/asked.txt", f"{sound.text}\n".encode())
        self.board.add_text(f"{sound.name}/asked", sound.text, step)
        for name, samples in {**sound.given, **sound.made}.items():
            with self.workspace.create(f"{folder}/{name}.wav") as file:
                soundfile.write(file, samples, sound.rate, "PCM_16", format="WAV")
            if name in sound.made:
                self.board.add_audio(f"{sound.name}/{name}", _bounded(samples), step, sound.rate)

    def _say(self, step: int, words: str) -> None:
        if self.bar is not None:
            self.bar.update(self.bar.task_ids[0], completed=step, told=words)
        elif not self.quiet:
            print(f"{time.strftime('%H:%M:%S')} step {step:,} of {self.steps:,}: {words}", file=sys.stderr, flush=True)


def _bounded(samples: NDArray[np.float32]) -> torch.Tensor:
    return torch.from_numpy(samples).clamp(-1.0, 1.0)[None]


def _scalars(summary: dict[str, Any], name: str) -> Iterator[tuple[str, float]]:
    """Yield the numbers of a summary with their names, sections and all."""
    for key, value in summary.items():
        if isinstance(value, dict):
            yield from _scalars(value, f"{name}/{key}")
        elif isinstance(value, (int, float)):
            yield f"{name}/{key}", float(value)
