"""``python -m schemas.tables``: the documentation of all tables."""

from schemas.tables import page

print(page(), end="")
