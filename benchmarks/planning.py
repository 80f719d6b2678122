"""Planning at the scale of HSM-TSS: 1.7 million two-source mixtures of 230,000 clips, recounted by DuckDB.

    python benchmarks/planning.py [--segments FILE ...] [--clips 230000] [--mixtures 1700000] [--pieces 8]

Classes are the label sets of AudioSet's segment lists, drawn with replacement; without ``--segments`` one to four classes per clip, the
n-th commonest of 527 as often as 1/n (Zipf's law, in a drawn order). Half of the clips have a caption that names their classes. The
stage is timed whole: catalogue, pairing, places, levels, words, arrow tables. Then the plan is made in pieces and compared byte for
byte, and DuckDB counts conflicts with its own closure of the ontology's files. One process each; peak memory is that of the planning alone.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.core.stage import Batch, Context
from pipelines.core.workspace import Workspace
from pipelines.mix.block import Dealer
from pipelines.mix.catalogue import catalogue, pool_of
from pipelines.mix.conflict import relation, specific
from pipelines.mix.naming import phrase
from pipelines.mix.patterns import Patterns, wordings
from pipelines.mix.plan import PlanMixtures
from pipelines.mix.rows import plan_range
from schemas import tables
from schemas.mixing import MixtureSet
from schemas.ontology import configs_dir, default_ontology

RATE, SEED = 16000, 0
TEMPLATES = "prompts/instructions.yaml"

CONFLICTS = """
    with recursive
    nodes as (
        select class_id, parent_ids, abstract = '1' as abstract from read_csv('{labels}/audioset_ontology.csv', all_varchar = true)
        union all by name select class_id, parent_ids, false as abstract
        from read_csv('{labels}/audioset_strong_extra.csv', all_varchar = true)
    ),
    edges as (
        select distinct child.class_id as child, parent.class_id as parent from nodes as child
        join nodes as parent on list_contains(string_split(child.parent_ids, ' '), parent.class_id)
        where not child.abstract and not parent.abstract
    ),
    above as (
        select child as below, parent as above from edges
        union select above.below, edges.parent from above join edges on edges.child = above.above
    ),
    related as (
        select class_id as a, class_id as b from nodes
        union select below, above from above union select above, below from above
    ),
    present as (
        select clip_id, unnest(list_concat(class_ids, said_class_ids, heard_class_ids)) as class_id from '{sources}'
    ),
    clips as (select clip_id, group_id, attribution from '{sources}'),
    pairs as (select mixture_id, target_clip_id as a, {partner} as b from '{plan}' where refused is null)
    select
        count(distinct mixture_id) filter (related.a is not null),
        count(distinct mixture_id) filter (one.group_id = other.group_id or one.attribution = other.attribution)
    from pairs
    join clips as one on one.clip_id = pairs.a join clips as other on other.clip_id = pairs.b
    join present as x on x.clip_id = pairs.a join present as y on y.clip_id = pairs.b
    left join related on related.a = x.class_id and related.b = y.class_id
"""

PLANNED = "unnest(interferer_clip_ids)"
SHUFFLED = "lag(target_clip_id, 1, 'bench-0000000') over (order by hash(mixture_id))"
"""Partners at random, so that it is seen that the query finds conflicts where there are some."""


def label_sets(files: Iterable[str], clips: int) -> list[list[str]]:
    """Return the classes of each clip."""
    rng, ontology = np.random.default_rng(SEED), default_ontology()
    sets: list[list[str]] = []
    for file in files:
        with open(file, encoding="utf-8", newline="") as lines:
            rows = csv.reader((line for line in lines if not line.startswith("#")), skipinitialspace=True)
            sets += [[mid for mid in row[3].split(",") if mid in ontology] for row in rows]
    sets = [each for each in sets if each]
    if sets:
        return [sets[pick] for pick in rng.integers(len(sets), size=clips)]
    with (configs_dir() / "labels" / "audioset_527.csv").open(encoding="utf-8", newline="") as lines:
        names = rng.permutation([row["class_id"] for row in csv.DictReader(lines)])
    shares = 1 / np.arange(1, len(names) + 1)
    drawn = rng.choice(len(names), size=(clips, 4), p=shares / shares.sum())
    return [list(set(names[row[:count]].tolist())) for row, count in zip(drawn, rng.integers(1, 5, clips), strict=True)]


def sources_of(sets: list[list[str]]) -> pa.Table:
    """Return the table ``sources`` of generated clips of ten seconds; two of three stand alone in their group."""
    ontology, count = default_ontology(), len(sets)
    names = [[ontology[c].name for c in specific(ontology, each)] for each in sets]
    none: list[list[str]] = [[]] * count
    columns = {
        "clip_id": [f"bench-{number:07d}" for number in range(count)],
        "recording_id": [f"fs:{number}" for number in range(count)],
        "group_id": [f"g{number - (number % 3 == 2):07d}" for number in range(count)],
        "dataset": [f"d{number % 5}" for number in range(count)],
        "split": ["train"] * count,
        "state": ["labelled"] * count,
        "class_ids": [sorted(each) for each in sets],
        "class_names": names,
        "said_class_ids": none,
        "heard_class_ids": none,
        "caption": [f"{phrase(each)} can be heard" if row % 2 else None for row, each in enumerate(names)],
        "label": [phrase(each) for each in names],
        "spoken": [[f"the {phrase([name])}" for name in each] for each in names],
        "onset_s": [None] * count,
        "offset_s": [None] * count,
        "duration_s": [10.0] * count,
        "sample_rate": [RATE] * count,
        "sha256": ["0"] * count,
        "licence": ["cc0"] * count,
        "licence_text": [None] * count,
        "attribution": [f"u{number * 7919 % 20011}" for number in range(count)],
        "tar": ["store/x.tar"] * count,
        "offset": [0] * count,
        "size": [1] * count,
    }
    schema = tables.schema("sources")
    return pa.table([pa.array(columns[field.name], field.type) for field in schema], schema=schema)


def rules(mixtures: int) -> MixtureSet:
    """Return the set."""
    return MixtureSet(name="bench", count=mixtures, level={"range": (-15.0, 15.0)})


def patterns() -> pa.Table:
    """Return the table ``patterns``."""
    context = Context(Workspace("unused"), ".", SEED, 1)
    rows = Patterns((TEMPLATES,)).process(Batch(tables.schema("patterns").empty_table(), {}), context).rows
    return tables.from_rows("patterns", rows)


def whole(folder: Path, mixtures: int) -> None:
    """Run the stage, print what it took, and keep the plan."""
    sources = pq.read_table(folder / "sources.parquet")
    stage = PlanMixtures((rules(mixtures),), RATE)
    sides = {"patterns": patterns()}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began, worked = time.perf_counter(), time.process_time()
    result = stage.process(Batch(sources, sides), Context(Workspace("unused"), ".", SEED, 8))
    seconds, worked = time.perf_counter() - began, time.process_time() - worked
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    plan = pa.concat_tables(result.tables)
    refused = plan.num_rows - plan.column("refused").null_count
    ids = plan.column("interferer_clip_ids").combine_chunks().flatten()
    uses = np.bincount(np.unique(ids.dictionary_encode().indices.to_numpy(), return_counts=True)[1])
    pq.write_table(plan, folder / "plan.parquet", compression="none")
    print(f"{plan.num_rows:,} mixtures in {seconds:.1f} s ({worked:.1f} s of processor time)")
    print(f"peak memory {peak / 2**20:.2f} GiB, of which before planning {before / 2**20:.2f}")
    print(f"refused: {refused:,}; a clip is an interferer {shares(uses)}")


def shares(uses: np.ndarray) -> str:
    """Return how often clips are interferers, in words."""
    total = np.repeat(np.arange(len(uses)), uses)
    low, middle, high = np.percentile(total, [5, 50, 95])
    return f"{low:.0f} to {high:.0f} times (5th to 95th percentile), median {middle:.0f}, at most {total.max()}"


def pieced(folder: Path, mixtures: int, pieces: int) -> None:
    """Make the plan in pieces, last first, and compare it with the whole."""
    clips = catalogue(pq.read_table(folder / "sources.parquet"), relation(rules(mixtures).conflict))
    said = wordings(patterns(), TEMPLATES)
    made = []
    for number in reversed(range(pieces)):
        # A dealer of its own: nothing is shared with the other pieces.
        dealer = Dealer(pool_of(clips, rules(mixtures), "train", SEED), 10 * RATE)
        cuts = (len(dealer.pool) * number // pieces, len(dealer.pool) * (number + 1) // pieces)
        made.append(plan_range(dealer, said, RATE, *cuts))
    plan = pq.read_table(folder / "plan.parquet")
    same = digest(pa.concat_tables(made[::-1])) == digest(plan)
    print(f"{pieces} pieces give the same bytes: {same}")


def digest(table: pa.Table) -> str:
    """Return the sha256 of a table's bytes as Parquet."""
    sink = pa.BufferOutputStream()
    pq.write_table(table.combine_chunks().replace_schema_metadata(None), sink, compression="none", store_schema=False)
    return hashlib.sha256(sink.getvalue()).hexdigest()


def recount(folder: Path) -> None:
    """Count conflicts with SQL."""
    import duckdb

    for what, partner in (("the plan", PLANNED), ("partners at random", SHUFFLED)):
        began = time.perf_counter()
        with duckdb.connect() as base:
            base.execute("set memory_limit = '6GB'")
            files = {"sources": folder / "sources.parquet", "plan": folder / "plan.parquet"}
            text = CONFLICTS.format(labels=configs_dir() / "labels", partner=partner, **files)
            found = base.execute(text).fetchone()
        assert found
        seconds = time.perf_counter() - began
        print(f"DuckDB, {what}: {found[0]:,} share a class, {found[1]:,} a group or uploader ({seconds:.0f} s)")


def main() -> None:
    """Print what was measured."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--segments", nargs="*", default=[])
    parser.add_argument("--clips", type=int, default=230_000)
    parser.add_argument("--mixtures", type=int, default=1_700_000)
    parser.add_argument("--pieces", type=int, default=8)
    parser.add_argument("--child", choices=("whole", "pieced", "recount"))
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    if options.child == "whole":
        whole(options.folder, options.mixtures)
    elif options.child == "pieced":
        pieced(options.folder, options.mixtures, options.pieces)
    elif options.child == "recount":
        recount(options.folder)
    else:
        with tempfile.TemporaryDirectory() as name:
            made = sources_of(label_sets(options.segments, options.clips))
            pq.write_table(made, f"{name}/sources.parquet")
            for child in ("whole", "pieced", "recount"):
                numbers = ["--mixtures", str(options.mixtures), "--pieces", str(options.pieces)]
                subprocess.run([sys.executable, __file__, "--child", child, "--folder", name, *numbers], check=True)


if __name__ == "__main__":
    main()
