"""The words of a mixture: the query, and the instructions to extract the target or to remove the rest."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from pipelines.describe.grammar import gerund
from pipelines.describe.phrases import Phrases
from schemas.errors import UserError
from schemas.ontology import Ontology


@dataclass(frozen=True)
class Templates:
    """Sentence patterns; ``{what}`` stands for the named sounds."""

    extract: tuple[str, ...]
    remove: tuple[str, ...]


def load_templates(path: Path) -> Templates:
    """Read a template file; UserError names the file and what it lacks."""
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
        lists = {key: tuple(raw[key]) for key in ("extract", "remove")}
    except FileNotFoundError:
        raise UserError(f"instructions {path.name}: no such file in configs/prompts") from None
    except (KeyError, TypeError, yaml.YAMLError) as error:
        raise UserError(f"instructions {path.name}: needs the lists 'extract' and 'remove' ({error})") from None
    for key, patterns in lists.items():
        for pattern in patterns:
            if not isinstance(pattern, str) or pattern.count("{what}") != 1:
                raise UserError(f"instructions {path.name}: {key}: {pattern!r} must hold {{what}} once")
    return Templates(lists["extract"], lists["remove"])


def phrase(class_names: list[str]) -> str:
    """Return class names as one phrase: ``dog and rain``, ``dog, rain and wind``.

    A name that lists synonyms (``Male speech, man speaking``) is said by its first.
    """
    words = [name.split(",")[0].split("(")[0].strip() for name in class_names]
    return joined([word if word.isupper() else word[:1].lower() + word[1:] for word in words])


def joined(words: list[str]) -> str:
    """Return ``a``, ``a and b``, or ``a, b and c``."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def definite(class_id: str, phrases: Phrases, ontology: Ontology) -> str:
    """Return how an instruction calls a class: ``the siren``, ``the rain``, ``the dog barking``, ``the engine idling``.

    The words are those of the grammar captioner; what the source does is added where its name alone does not tell the class.
    """
    words, name = phrases.words[class_id], ontology[class_id].name.split(",")[0]
    noun = re.sub(r"^(the |some |an? )?(sounds? of )?(the |an? )?", "", words.noun)
    told = {word.rstrip("s") for word in re.findall("[a-z]+", name.lower())} & {
        word.rstrip("s") for word in re.findall("[a-z]+", noun.lower())
    }
    acts = [verb for verb in words.verbs if not verb.endswith((" heard", "sounds"))]
    return f"the {noun}" if told or not acts else f"the {noun} {gerund(acts[0])}"


def instructions(
    rng: np.random.Generator, templates: Templates, target: list[str], interferers: list[str]
) -> tuple[str, str]:
    """Return an instruction that asks for the target and one that asks for the interferers to be removed.

    Args:
        rng: draws the patterns.
        templates: the patterns.
        target: how the target's classes are called, as :func:`definite` does.
        interferers: how the interferers' are.
    """
    extract = templates.extract[int(rng.integers(len(templates.extract)))]
    remove = templates.remove[int(rng.integers(len(templates.remove)))]
    return extract.format(what=joined(target)), remove.format(what=joined(interferers))
