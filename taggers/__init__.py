"""What hears: listeners behind one seam, found by name; importing this package imports no model library."""

from taggers.base import (
    Finding,
    Listener,
    MissingExtra,
    UnknownListener,
    Waveform,
    available,
    create,
    hear,
    register,
)

__all__ = [
    "Finding",
    "Listener",
    "MissingExtra",
    "UnknownListener",
    "Waveform",
    "available",
    "create",
    "hear",
    "register",
]
