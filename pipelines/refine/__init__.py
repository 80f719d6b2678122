"""Refining: from candidate captions to scores and decisions."""
