"""Acoustic identity: which clips hold the same sound."""
