"""Engines: what serves the tasks. The same loop drives both, and both give the same bytes."""
