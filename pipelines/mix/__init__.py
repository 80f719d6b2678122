"""Mixing: planning (which clips, at what ratio, in which words) and rendering (pure arithmetic on integers)."""
