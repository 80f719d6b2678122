"""Replaying: the mixtures that a published evaluation list names, made from the user's audio, and what the list's pairs share."""
