"""Sample corpora: sounds synthesised from their physics, in the official layouts of public datasets."""
