"""Measures of separated sound, tags, events and retrieval, each with its variant and unit stated, and their intervals."""
