"""What consumes the shards: a small language-queried separator and the measures that judge it."""
