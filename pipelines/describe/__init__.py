"""Describing: from evidence to candidate captions."""
