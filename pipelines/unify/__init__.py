"""From the names and words that publishers use to classes of the ontology."""
