"""Training and judging framewise taggers on captioned clips with publishers' labels."""
