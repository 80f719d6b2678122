"""Which clips may not be mixed: their classes as bit sets over the ontology, so that one check is one bitwise AND."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from schemas.ontology import Ontology


@dataclass(frozen=True)
class Present:
    """The classes of one clip: ``own`` bits, and the bits of every class that conflicts with one of them."""

    own: int
    related: int

    def conflicts(self, other: Present) -> bool:
        """Say whether a class of this clip equals, contains or is contained in a class of the other."""
        return bool(self.related & other.own)


def present(ontology: Ontology, class_ids: Iterable[str]) -> Present:
    """Return the bit sets of a clip's classes."""
    own = related = 0
    for class_id in class_ids:
        own |= ontology.bits([class_id])
        related |= ontology.related_mask(class_id)
    return Present(own, related)


def specific(ontology: Ontology, class_ids: Iterable[str]) -> list[str]:
    """Return the classes that are no ancestor of another one in the set: what one would say of the clip."""
    ids = sorted(set(class_ids))
    return [c for c in ids if not any(c != other and ontology.ancestors(other) & ontology.bits([c]) for other in ids)]
