"""The Apache Beam graph of the catalogue: from the members of many corpora to its tables."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence

import apache_beam as beam
import pyarrow as pa
from apache_beam.pvalue import AsSingleton, PCollection

from pipelines.catalog import captions, groups, links, overlap, statistics
from pipelines.catalog.members import Names, Piece, Row, Set, sets_of
from pipelines.catalog.overlap import Pair, Shared
from pipelines.catalog.tables import CATALOG_TABLES, KEYS
from pipelines.core.commit import parquet_bytes
from pipelines.core.workspace import Workspace

Rows = PCollection[Row]
Groups = PCollection[groups.Group]


def add_catalogue(pipeline: beam.Pipeline, pieces: Sequence[Piece], names: Names, out: str) -> None:
    """Add the whole graph to a pipeline.

    Args:
        pipeline: the pipeline.
        pieces: what workers read.
        names: the names on blacklists.
        out: folder to which a worker writes ``<table>.parquet``.
    """
    # Without the reshuffle one worker would read all pieces: they are few elements until they are read.
    parts = pipeline | "pieces" >> beam.Create(pieces) | "one worker each" >> beam.Reshuffle()
    members = parts | "members" >> beam.FlatMap(lambda piece: piece.members())
    listed = pipeline | "listed names" >> beam.Create([names]) | "names" >> beam.FlatMap(lambda names: names.read())
    near = links.add_links(parts)
    found = _groups(members, listed, near)
    every = members | "sets" >> beam.FlatMap(_named) | "named members" >> beam.CombinePerKey(sum)
    settled = (
        found | "settled" >> beam.FlatMap(lambda group: group.members),
        members | "in no group" >> beam.Filter(lambda row: row["recording_id"] is None),
    )
    shared = found | "shared in group" >> beam.FlatMap(lambda group: overlap.shared_in(group).items())
    shared = shared | "shared" >> beam.CombinePerKey(overlap.add)
    made = {
        "members": settled | "all members" >> beam.Flatten(),
        "recordings": found | "recordings" >> beam.FlatMap(groups.recording_rows),
        "groups": found | "groups" >> beam.Map(groups.group_row),
        "near_duplicates": near,
        **_captions(members),
        "statistics": _statistics(members, found),
        "overlap": _overlap(shared, every),
        "blacklists": _blacklists(found, shared, every, names),
    }
    for table, rows in made.items():
        _write(pipeline, table, rows, out)


def _write(pipeline: beam.Pipeline, table: str, rows: Rows, out: str) -> None:
    """Write a table whole and sorted: Beam's own sink keeps no order, so it could not give the same bytes twice."""
    packed = rows | f"{table}: batch" >> beam.BatchElements(256, 8192) | f"{table}: pack" >> beam.Map(pack, table)
    # A group is there only if something is in it: the empty table makes sure of that.
    empty = pipeline | f"{table}: none" >> beam.Create([(table, pack([], table)[1])])
    _ = (
        (packed, empty)
        | f"{table}: all" >> beam.Flatten()
        | f"{table}: together" >> beam.GroupByKey()
        | f"{table}: write" >> beam.Map(write, out)
    )


def pack(rows: list[Row], table: str) -> tuple[str, bytes]:
    """Return the table's name, and some of its rows as an Arrow stream: a tenth of what they take as dicts."""
    made = pa.Table.from_pylist(rows, CATALOG_TABLES[table])
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, made.schema) as stream:
        stream.write_table(made)
    return table, sink.getvalue()


def write(packed: tuple[str, Iterable[bytes]], out: str) -> None:
    """Write a table, given its name and all of its rows, sorted by its keys.

    Raises:
        ValueError: a null in a column that cannot be null.
    """
    table, streams = packed
    whole = pa.concat_tables([pa.ipc.open_stream(part).read_all() for part in streams])
    for field in whole.schema:
        if not field.nullable and whole.column(field.name).null_count:
            raise ValueError(f"{table}.{field.name}: null, which this column cannot be")
    ordered = whole.sort_by([(key, "ascending") for key in KEYS[table]])
    Workspace(out).write(f"{table}.parquet", parquet_bytes(ordered.combine_chunks()))


def _groups(members: Rows, listed: PCollection[tuple[str, str]], near: Rows) -> Groups:
    """Group members whose recordings are one. Links are few, so one worker can follow them from end to end."""
    home = (
        near
        | "links" >> beam.Map(lambda row: (row["recording_a"], row["recording_b"]))
        | "all links" >> beam.combiners.ToList()
        | "components" >> beam.Map(groups.group_of)
    )
    known = members | "in a group" >> beam.Filter(lambda row: row["recording_id"] is not None)
    together = {
        "members": known | "group of member" >> beam.Map(_by_group, AsSingleton(home)),
        "listed": listed
        | "group of name" >> beam.Map(lambda pair, of: (of.get(pair[0], pair[0]), pair), AsSingleton(home)),
    }
    return (
        together
        | "members of group" >> beam.CoGroupByKey()
        | "not blacklists alone" >> beam.Filter(lambda group: any(True for _ in group[1]["members"]))
        | "settle" >> beam.MapTuple(lambda group_id, found: groups.settle(group_id, found["members"], found["listed"]))
    )


def _by_group(row: Row, home: dict[str, str]) -> tuple[str, Row]:
    recording: str = row["recording_id"]
    return home.get(recording, recording), row


def _named(row: Row) -> list[tuple[Set, int]]:
    return [(each, int(row["recording_id"] is not None)) for each in sets_of(row)]


def _overlap(shared: PCollection[tuple[Pair, Shared]], every: PCollection[tuple[Set, int]]) -> Rows:
    pairs = every | "all sets" >> beam.combiners.ToDict() | "all pairs" >> beam.FlatMap(_pairs)
    return (
        {"named": pairs, "shared": shared}
        | "pairs with shared" >> beam.CoGroupByKey()
        | "overlap" >> beam.MapTuple(lambda pair, of: overlap.overlap_row(pair, all(of["named"]), of["shared"]))
    )


def _pairs(named: dict[Set, int]) -> list[tuple[Pair, bool]]:
    return [(pair, all(named[each] for each in pair)) for pair in overlap.pairs_of(named)]


def _blacklists(
    found: Groups, shared: PCollection[tuple[Pair, Shared]], every: PCollection[tuple[Set, int]], names: Names
) -> Rows:
    none = every | "no recordings" >> beam.Map(lambda each: (each[0], 0))
    some = shared | "with itself" >> beam.Filter(lambda each: each[0][0] == each[0][1])
    sizes = (
        (none, some | "recordings of set" >> beam.Map(lambda each: (each[0][0], each[1][0])))
        | "recordings or none" >> beam.Flatten()
        | "sizes" >> beam.CombinePerKey(sum)
        | "of each blacklist" >> beam.FlatMapTuple(lambda of, size: [((name, of), size) for name in names.blacklists])
    )
    listed = found | "listed in group" >> beam.FlatMap(groups.listed_in) | "listed" >> beam.CombinePerKey(sum)
    return (
        {"sizes": sizes, "listed": listed}
        | "sizes and listed" >> beam.CoGroupByKey()
        | "blacklists" >> beam.MapTuple(lambda key, of: groups.blacklist_row(key, sum(of["sizes"]), sum(of["listed"])))
    )


def _captions(members: Rows) -> dict[str, Rows]:
    texts = members | "captions" >> beam.FlatMap(captions.places) | "places of caption" >> beam.GroupByKey()
    said = texts | "said" >> beam.MapTuple(captions.said)
    counts = said | "words" >> beam.CombineGlobally(captions.CountWords())
    near = (
        said
        | "rarest words first" >> beam.Map(captions.coded, AsSingleton(counts))
        | "pairs of rare words" >> beam.FlatMap(lambda coded: [(key, coded) for key in captions.keys(coded[1])])
        | "captions of pair" >> beam.GroupByKey()
        | "near captions" >> beam.FlatMapTuple(captions.near_rows)
    )
    return {"duplicates": texts | "duplicates" >> beam.FlatMapTuple(captions.duplicate_rows), "near_captions": near}


def _statistics(members: Rows, found: Groups) -> Rows:
    tallies = members | "tallies" >> beam.FlatMap(_tallies) | "tally" >> beam.CombinePerKey(statistics.Sum())
    named = found | "named in group" >> beam.FlatMap(statistics.named_in) | "named" >> beam.CombinePerKey(sum)
    return (
        {"tallies": tallies, "recordings": named}
        | "tally and recordings" >> beam.CoGroupByKey()
        | "statistics"
        >> beam.MapTuple(lambda corpus, of: statistics.statistics_row(corpus, of["tallies"], of["recordings"]))
    )


def _tallies(row: Row) -> list[tuple[statistics.Corpus, statistics.Tally]]:
    tally = statistics.tally_of(row)
    return [(corpus, tally) for corpus in statistics.corpora_of(row)]
