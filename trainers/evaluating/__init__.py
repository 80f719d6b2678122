"""Evaluating: any separator on any set of mixtures, beside baselines and an oracle, in numbers that name themselves."""
