"""Measures of separated sound, each with its variant, unit and behaviour on silence stated."""
