"""The room of shards: captions with their sound, and dataset folders of mixtures that others read."""
