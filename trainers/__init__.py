"""What consumes the shards: loaders, the training loop and what is trained by it, measures, and the evaluation of separators."""
