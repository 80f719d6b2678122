"""What the data is: tables, recipe, identifiers, errors and the ontology of sound classes."""

__version__ = "0.1.0"
