"""YAML read so that nothing is lost: a key that stands twice is an error, and every error says where it is."""

from __future__ import annotations

from typing import Any

import yaml


class BadYaml(ValueError):
    """A text that is not YAML as it is read here; ``place`` is ``, line N``, or empty where no line is to blame."""

    def __init__(self, words: str, place: str = "") -> None:
        super().__init__(words)
        self.place = place


class _OneOfEach(yaml.SafeLoader):
    """Reads YAML, and refuses a mapping that has a key twice: YAML itself would silently keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return the mapping; MarkedYAMLError names the key that stands twice."""
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(
                    problem="a key is a list or a mapping; write a name", problem_mark=key.start_mark
                )
            if key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"the key {key.value!r} stands twice", problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def read_yaml(text: str | bytes) -> Any:
    """Return what a text holds.

    Raises:
        BadYaml: it is not YAML, has a key twice, a key that is no scalar, a date that there is not, or brackets without end.
    """
    try:
        return yaml.load(text, Loader=_OneOfEach)
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        words = getattr(error, "problem", None) or getattr(error, "reason", error)
        raise BadYaml(str(words), f", line {where.line + 1}" if where else "") from None
    except (ValueError, RecursionError) as error:
        raise BadYaml(str(error)) from None
