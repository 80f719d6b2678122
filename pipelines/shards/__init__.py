"""Shards: what training reads."""
