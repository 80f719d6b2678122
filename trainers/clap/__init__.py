"""Training and judging small CLAPs on captioned clips."""
