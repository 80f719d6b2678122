"""Listening: stages that turn clips into evidence. The models themselves live in ``taggers``."""
