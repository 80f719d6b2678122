"""What hears: models behind one seam, found by name; importing this package imports no model library."""

from taggers.base import Embedder, Finding, Listener, Model, Settings, Waveform, embed, hear
from taggers.registry import BadSettings, MissingExtra, UnknownModel, available, create, register
from taggers.weights import MissingWeights

__all__ = [
    "BadSettings",
    "Embedder",
    "Finding",
    "Listener",
    "MissingExtra",
    "MissingWeights",
    "Model",
    "Settings",
    "UnknownModel",
    "Waveform",
    "available",
    "create",
    "embed",
    "hear",
    "register",
]
