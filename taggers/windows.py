"""The windows of a long waveform: where each begins, the same for every run and every batch."""

from __future__ import annotations


def starts(duration_s: float, window_s: float, hop_s: float) -> list[float]:
    """Return the start of each window in seconds: every hop while a whole window fits, then one that ends with the audio.

    What is no longer than a window is one window from 0.

    Args:
        duration_s: length of the audio in seconds, > 0.
        window_s: length of a window in seconds, > 0.
        hop_s: from one start to the next in seconds, > 0.

    """
    last = duration_s - window_s
    if last <= 0:
        return [0.0]
    # Counted, not summed, so that the last start does not drift; a last window nearer than a microsecond is the one before.
    whole = [number * hop_s for number in range(int((last + 1e-6) / hop_s) + 1)]
    return whole if last - whole[-1] <= 1e-6 else [*whole, last]
