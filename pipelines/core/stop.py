"""Stopping on Ctrl-C or SIGTERM at a place where it is safe: between two batches, or while the driver waits.

An exception that Python raises wherever it happens to be would also be raised inside the callbacks through which libsndfile reads
and writes memory, which swallow it and go on with half a file.
"""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType

_requested = threading.Event()


def catch_signals() -> None:
    """Take note of the first SIGINT or SIGTERM; end at once at the second, which a run survives as it survives kill -9."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _note)


def forget_stop() -> None:
    """Forget a stop that was asked for, at the start of another run in the same process."""
    _requested.clear()


def _note(_signal: int, _frame: FrameType | None) -> None:
    if _requested.is_set():
        os._exit(1)
    _requested.set()


def check_stop() -> None:
    """Raise KeyboardInterrupt if a stop was asked for."""
    if _requested.is_set():
        raise KeyboardInterrupt
