"""What the samples of a dataset folder hold, counted while they pass by: licences, recordings, members, the JSON's columns."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from pipelines.shards.layout import Group
from pipelines.shards.tars import Member
from schemas.errors import RunStopped

_PIECE = 1000


@dataclass
class Tally:
    """What was seen.

    Attributes:
        samples: how many of each group.
        nbytes: of all members' data, of each group.
        licences: how many under each licence.
        recordings: the recordings that are mixed.
        members: every suffix of a member that a sample has, in order of first sight.
        rates: samples per second.
    """

    samples: Counter[Group] = field(default_factory=Counter)
    nbytes: Counter[Group] = field(default_factory=Counter)
    licences: Counter[str] = field(default_factory=Counter)
    recordings: set[str] = field(default_factory=set)
    members: dict[str, None] = field(default_factory=dict)
    rates: set[int] = field(default_factory=set)
    _schema: pa.Schema = field(default_factory=lambda: pa.schema([]), repr=False)
    _pending: list[dict[str, Any]] = field(default_factory=list, repr=False)

    def see(self, group: Group, found: list[tuple[Member, bytes]]) -> None:
        """Count a sample; RunStopped where its JSON does not tell what every sample's tells."""
        data = next((data for member, data in found if member.member == "json"), b"null")
        try:
            told = json.loads(data)
            licence, rate = told["licence"], told["sample_rate"]
            self.recordings.update(source["recording_id"] for source in told["sources"])
        except (ValueError, KeyError, TypeError) as error:
            raise RunStopped(f"sample {found[0][0].key}: its JSON lacks something ({error!r}); run it anew") from None
        self.samples[group] += 1
        self.nbytes[group] += sum(member.size for member, _ in found)
        self.licences[licence] += 1
        self.rates.add(rate)
        self.members.update(dict.fromkeys(member.member for member, _ in found))
        self._pending.append(told)
        if len(self._pending) >= _PIECE:
            self._join()

    @property
    def columns(self) -> pa.Schema:
        """The keys of the samples' JSON and their types; what was null everywhere is of type null."""
        self._join()
        return self._schema

    def _join(self) -> None:
        if self._pending:
            seen = pa.schema(list(pa.array(self._pending).type))
            self._schema = pa.unify_schemas([self._schema, seen], promote_options="permissive")
            self._pending.clear()
