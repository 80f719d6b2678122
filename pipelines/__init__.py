"""Earloom's pipelines: stages from recordings to captions, mixtures and shards, and the engines that run them."""
