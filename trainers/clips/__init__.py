"""Captioned clips as trainings take them: by number from shards, as spectrograms, in batches that can be gone on with."""
