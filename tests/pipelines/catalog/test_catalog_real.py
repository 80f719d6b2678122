"""The catalogue of real metadata beside SQL over the publishers' own files, which knows nothing of Earloom."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import pytest

from pipelines.catalog.build import build_catalog
from pipelines.catalog.captions import words
from pipelines.catalog.show import missed, overlap_table, read_table, rows, statistics_table

RECIPE = Path(__file__).parents[3] / "configs" / "catalog.yaml"

SETS = 45
"""Published splits in the files, and datasets."""
PLAIN = "replace(lower(nfc_normalize(caption)), '’', '''')"
WORDS = rf"regexp_extract_all({PLAIN}, '[\p{{L}}\p{{N}}]+(?:''[\p{{L}}\p{{N}}]+)*')"
RAW = r"""
CREATE TABLE lists AS
SELECT list, file, regexp_extract(file, '([^/]+)\.wav$', 1) AS stem, caption
FROM (SELECT 'audiocaps' AS list, unnest([src_wav, noise_wav]) AS file, unnest([caption, NULL]) AS caption
      FROM read_csv('{d}/lass/audiosep_eval/audiocaps_eval.csv')
      UNION ALL SELECT 'audioset', src_wav, NULL FROM read_csv('{d}/lass/audiosep_eval/audioset_eval.csv')
      UNION ALL SELECT 'clotho', unnest([src_wav, noise_wav1]), unnest([caption, NULL])
      FROM read_csv('{d}/lass/audiosep_eval/clotho_eval.csv')
      UNION ALL SELECT 'esc50', unnest([src_wav, noise_wav]), NULL FROM read_csv('{d}/lass/audiosep_eval/esc50_eval.csv')
      UNION ALL SELECT 'music', unnest([src_wav, noise_wav]), NULL FROM read_csv('{d}/lass/audiosep_eval/music_eval.csv')
      UNION ALL SELECT 'vggsound', unnest(string_split(file_id, '+++')) || '.wav', NULL
      FROM read_csv('{d}/lass/audiosep_eval/vggsound_eval.csv'));

CREATE TABLE raw AS
SELECT 'esc50' AS dataset, 'fold' || fold AS published, 'fs:' || src_file AS recording,
       NULL::DOUBLE AS s, NULL::DOUBLE AS e
FROM read_csv('{d}/esc50/meta/esc50.csv', all_varchar = true)
UNION ALL SELECT 'urbansound8k', 'fold' || fold, 'fs:' || fsID, NULL, NULL
FROM read_csv('{d}/urbansound8k/metadata/UrbanSound8K.csv', all_varchar = true)
UNION ALL SELECT 'clotho', 'development', CASE WHEN regexp_full_match(sound_id, '\d+') THEN 'fs:' || sound_id END, NULL, NULL
FROM read_csv('{d}/clotho/clotho_metadata_development.csv', all_varchar = true, encoding = 'latin-1')
UNION ALL SELECT 'clotho', 'validation', NULL, NULL, NULL FROM read_csv('{d}/clotho/clotho_captions_validation.csv')
UNION ALL SELECT 'clotho', 'evaluation', NULL, NULL, NULL FROM read_csv('{d}/clotho/clotho_captions_evaluation.csv')
UNION ALL SELECT 'fsd50k', split, 'fs:' || fname, NULL, NULL
FROM read_csv('{d}/fsd50k/FSD50K.ground_truth/dev.csv', all_varchar = true)
UNION ALL SELECT 'fsd50k', 'eval', 'fs:' || fname, NULL, NULL
FROM read_csv('{d}/fsd50k/FSD50K.ground_truth/eval.csv', all_varchar = true)
UNION ALL SELECT DISTINCT 'audiocaps', parse_filename(filename, true), 'yt:' || youtube_id, start_time::DOUBLE, start_time + 10.0
FROM read_csv('{d}/audiocaps/dataset/*.csv', filename = true, types = {{'youtube_id': 'VARCHAR'}})
UNION ALL SELECT 'vggsound', 'test', 'yt:' || column0[:11], column0[13:18]::DOUBLE, column0[13:18]::DOUBLE + 10
FROM read_csv('{d}/vggsound/test.csv', header = false)
UNION ALL SELECT 'audioset', replace(parse_filename(filename, true), '_segments', ''), 'yt:' || line[1],
       line[2]::DOUBLE, line[3]::DOUBLE
FROM (SELECT filename, string_split(column0, ', ') AS line
      FROM read_csv(['{d}/audioset/balanced_train_segments.csv', '{d}/audioset/eval_segments.csv'], filename = true,
                    header = false, delim = '\t', quote = '', skip = 3))
UNION ALL SELECT 'wavcaps', 'SoundBible', 'sb:' || (entry->>'id'), NULL, NULL
FROM (SELECT unnest(data) AS entry FROM read_json('{d}/wavcaps/SoundBible/sb_final.json', columns = {{data: 'JSON[]'}}))
UNION ALL SELECT 'dcase2024_task9', 'validation', 'fs:' || string_split("Index", '_')[1], NULL, NULL
FROM read_json('{d}/lass/dcase2024_task9/lass_validation.json')
UNION ALL SELECT 'audiosep_eval', list,
       CASE list WHEN 'esc50' THEN 'fs:' || string_split(stem, '-')[2] WHEN 'vggsound' THEN 'yt:' || stem[:11]
                 WHEN 'audiocaps' THEN 'yt:' || stem[2:] WHEN 'music' THEN 'yt:' || stem[2:12] END, NULL, NULL
FROM (SELECT DISTINCT list, stem FROM lists);

CREATE TABLE spoken AS
SELECT 'audiocaps' AS dataset, parse_filename(filename, true) AS published, youtube_id || start_time AS member, caption
FROM read_csv('{d}/audiocaps/dataset/*.csv', filename = true)
UNION ALL SELECT 'clotho', regexp_extract(filename, 'captions_(\w+)\.csv', 1), filename || file_name, caption
FROM (UNPIVOT (FROM read_csv('{d}/clotho/clotho_captions_*.csv', filename = true, all_varchar = true))
      ON COLUMNS('caption_\d') INTO NAME number VALUE caption)
UNION ALL SELECT 'wavcaps', 'SoundBible', entry->>'id', CAST(entry->>'caption' AS VARCHAR)
FROM (SELECT unnest(data) AS entry FROM read_json('{d}/wavcaps/SoundBible/sb_final.json', columns = {{data: 'JSON[]'}}))
-- One of the captions is the number 0.
UNION ALL SELECT 'dcase2024_task9', 'validation', "Index", caption
FROM (SELECT "Index", unnest("Captions"::VARCHAR[]) AS caption FROM read_json('{d}/lass/dcase2024_task9/lass_validation.json'))
WHERE caption != '0'
UNION ALL SELECT DISTINCT 'audiosep_eval', list, list || stem, caption FROM lists WHERE caption IS NOT NULL;

CREATE TABLE sets AS SELECT row_number() OVER () AS id, * FROM raw;
INSERT INTO sets SELECT id, dataset, '*', recording, s, e FROM sets;
"""

CELLS = """
WITH every AS (SELECT dataset, published, count(recording) > 0 AS named FROM sets GROUP BY ALL),
     together AS (SELECT a.dataset AS da, a.published AS pa, b.dataset AS db, b.published AS pb,
                         count(DISTINCT a.recording) AS recordings,
                         count(*) FILTER (a.id != b.id AND a.s < b.e AND b.s < a.e) AS segments,
                         count(*) FILTER (a.id != b.id AND (a.s IS NULL OR b.s IS NULL)) AS untimed
                  FROM sets a JOIN sets b USING (recording) GROUP BY ALL)
SELECT a.dataset, a.published, b.dataset, b.published,
       CASE WHEN a.named AND b.named THEN coalesce(recordings, 0) END,
       CASE WHEN a.named AND b.named THEN coalesce(segments, 0) END // CASE WHEN a = b THEN 2 ELSE 1 END,
       CASE WHEN a.named AND b.named THEN coalesce(untimed, 0) END // CASE WHEN a = b THEN 2 ELSE 1 END
FROM every a JOIN every b
     ON (a.dataset, a.published) <= (b.dataset, b.published) AND (a.published = '*') = (b.published = '*')
LEFT JOIN together ON (da, pa, db, pb) = (a.dataset, a.published, b.dataset, b.published)
ORDER BY 1, 2, 3, 4"""


@pytest.fixture(scope="module")
def catalogue(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    out = tmp_path_factory.mktemp("real")
    counts = build_catalog([str(RECIPE)], str(out), overrides=[f"data.root={shared}"])
    assert (Path(out) / "statistics.parquet").exists()
    assert counts["refused"] == counts["near_duplicates"] == 0
    assert not (out / "listed").exists() or not list((out / "listed").iterdir())
    return str(out)


@pytest.fixture(scope="module")
def sql(shared: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute(RAW.format(d=shared))
        yield connection


def test_every_cell_of_the_overlap_is_what_sql_finds_in_the_publishers_files(
    catalogue: str, sql: duckdb.DuckDBPyConnection
) -> None:
    found = [(*row[:5], *row[6:]) for row in rows(catalogue, "overlap")[1]]
    expected = sql.execute(CELLS).fetchall()
    assert found == expected
    assert len({row[:2] for row in found}) == SETS
    # Without links between recordings, a group is a recording.
    assert all(row[4] == row[5] for row in rows(catalogue, "overlap")[1])
    clotho = [row for row in found if row[1] == "evaluation" and row[0] == "clotho"]
    assert {row[4:] for row in clotho} == {(None, None, None)}


def test_known_overlaps(catalogue: str) -> None:
    cells = {row[:4]: row[4:] for row in rows(catalogue, "overlap")[1]}
    assert cells["audioset", "*", "vggsound", "*"][0] == 6976
    assert cells["esc50", "*", "fsd50k", "*"][0] == 577
    assert cells["audiocaps", "train", "audiocaps", "train"][:1] == (49838,)


def test_statistics_are_what_sql_finds(catalogue: str, sql: duckdb.DuckDBPyConnection) -> None:
    expected = sql.execute(
        f"""
        WITH said AS (SELECT *, {WORDS} AS w FROM spoken), whole AS (FROM said UNION ALL SELECT dataset, '*', member, caption, w FROM said),
             texts AS (SELECT dataset, published, count(*) AS captions, avg(len(w)) AS mean,
                              len(list_distinct(flatten(list(w)))) AS vocabulary FROM whole GROUP BY ALL)
        SELECT dataset, published, count(*), count(DISTINCT recording), sum(e - s) / 3600,
               coalesce(any_value(captions), 0), any_value(mean), coalesce(any_value(vocabulary), 0)
        FROM sets LEFT JOIN texts USING (dataset, published) GROUP BY ALL ORDER BY 1, 2"""
    ).fetchall()
    names = ("dataset", "published", "members", "recordings", "hours", "captions", "caption_words", "vocabulary")
    found = read_table(catalogue, "statistics").to_pylist()
    assert len(found) == len(expected) == SETS
    for mine, theirs in zip(found, expected, strict=True):
        assert [mine[name] for name in names] == [
            pytest.approx(x, rel=1e-9) if isinstance(x, float) else x for x in theirs
        ]


def test_blacklists_are_counted_as_in_the_publishers_json(
    catalogue: str, sql: duckdb.DuckDBPyConnection, shared: Path
) -> None:
    found = rows(catalogue, "blacklists")[1]
    for file in sorted((shared / "wavcaps" / "blacklist").glob("*.json")):
        listed = json.loads(file.read_text())
        names = ["yt:" + name[1:-4] for name in listed["AudioSet"]] + ["fs:" + name for name in listed["FreeSound"]]
        sql.execute("CREATE OR REPLACE TABLE listed AS SELECT unnest(?) AS recording", [names])
        expected = sql.execute(
            """SELECT dataset, published, count(DISTINCT recording),
                      count(DISTINCT recording) FILTER (recording IN (FROM listed)),
                      count(DISTINCT recording) FILTER (recording NOT IN (FROM listed))
               FROM sets GROUP BY ALL ORDER BY 1, 2"""
        ).fetchall()
        assert [row[1:] for row in found if file.stem == f"blacklist_{row[0]}"] == expected
    assert len(found) == 3 * SETS
    name = "exclude_ub8k_esc50_vggsound"
    assert (name, "esc50", "*", 1524, 1247, 277) in found
    lost = missed(catalogue, name, "esc50")
    assert len(lost) == 277
    assert lost == sorted(lost)
    assert len(missed(catalogue, name, "esc50", "fold1")) == {row[:3]: row[5] for row in found}[name, "esc50", "fold1"]


def test_recordings_that_leak_are_those_in_two_of_our_splits(catalogue: str, sql: duckdb.DuckDBPyConnection) -> None:
    ours = """CASE WHEN dataset = 'esc50' THEN CASE published WHEN 'fold5' THEN 'test' WHEN 'fold4' THEN 'val' ELSE 'train' END
                   WHEN dataset = 'urbansound8k'
                   THEN CASE published WHEN 'fold10' THEN 'test' WHEN 'fold9' THEN 'val' ELSE 'train' END
                   WHEN dataset IN ('dcase2024_task9', 'audiosep_eval') OR published IN ('eval', 'test', 'evaluation') THEN 'test'
                   WHEN published IN ('val', 'validation') THEN 'val' ELSE 'train' END"""
    query = (
        f"SELECT recording FROM raw WHERE recording IS NOT NULL GROUP BY 1 HAVING count(DISTINCT {ours}) > 1 ORDER BY 1"
    )
    expected = [recording for (recording,) in sql.execute(query).fetchall()]
    for table, name in (("recordings", "recording_id"), ("groups", "group_id")):
        found = read_table(catalogue, table).to_pylist()
        assert [row[name] for row in found if row["leaks"]] == expected
    assert len(expected) > 500
    members = read_table(catalogue, "members").to_pylist()
    homes = {row["group_id"]: row["split"] for row in read_table(catalogue, "groups").to_pylist()}
    for row in members:
        home = homes.get(row["group_id"], row["split"])
        assert row["withheld"] == (None if row["split"] == home else f"leaks_into_{home}")
    assert {row["withheld"] for row in members} >= {None, "leaks_into_test", "leaks_into_val"}


def test_duplicate_captions_are_those_that_sql_groups(catalogue: str, sql: duckdb.DuckDBPyConnection) -> None:
    query = f"""
        SELECT array_to_string({WORDS}, ' ') AS text, count(DISTINCT (dataset, member)) AS n,
               list_sort(list(DISTINCT dataset || '/' || published))
        FROM spoken GROUP BY text HAVING n > 1"""
    expected = {text: (count, sets) for text, count, sets in sql.execute(query).fetchall()}
    found = read_table(catalogue, "duplicates").to_pylist()
    assert {row["text"]: (row["count"], row["sets"]) for row in found} == expected
    assert all(row["count"] == len(row["members"]) for row in found)
    assert any(len(row["splits"]) > 1 for row in found)


def test_near_captions_are_all_that_brute_force_finds_in_a_part(catalogue: str, sql: duckdb.DuckDBPyConnection) -> None:
    part = "SELECT caption FROM spoken WHERE published IN ('val', 'test', 'SoundBible') ORDER BY 1"
    texts = sorted({" ".join(words(caption)) for (caption,) in sql.execute(part).fetchall()} - {""})
    assert len(texts) > 7000
    vocabulary = {word: n for n, word in enumerate(sorted({word for text in texts for word in text.split()}))}
    has = np.zeros((len(texts), len(vocabulary)), np.float32)
    for number, text in enumerate(texts):
        has[number, [vocabulary[word] for word in text.split()]] = 1
    sizes = has.sum(axis=1)
    expected = {}
    for start in range(0, len(texts), 1000):
        common = has[start : start + 1000] @ has.T
        either = sizes[start : start + 1000, None] + sizes - common
        for a, b in np.argwhere(5 * common >= 4 * either):
            if start + a < b:
                expected[texts[start + a], texts[b]] = common[a, b] / either[a, b]
    inside = set(texts)
    near = read_table(catalogue, "near_captions").to_pylist()
    found = {(row["text_a"], row["text_b"]): row["jaccard"] for row in near if {row["text_a"], row["text_b"]} <= inside}
    assert found.keys() == expected.keys()
    assert len(found) > 300
    assert all(found[pair] == pytest.approx(expected[pair]) for pair in found)


def test_the_tables_are_readable_at_120_characters(catalogue: str) -> None:
    matrix, statistics = overlap_table(catalogue), statistics_table(catalogue)
    assert max(map(len, [*matrix.splitlines(), *statistics.splitlines()])) <= 120
    assert matrix.splitlines()[2].split() == [str(n) for n in range(1, 11)]
    row = next(line for line in matrix.splitlines() if " audioset " in line).split()
    assert (row[4], row[10]) == ("42,531", "6,976")
    assert "audioset/eval" in matrix
    (clotho,) = [line.split() for line in statistics.splitlines() if line.startswith("  evaluation")]
    assert clotho[1:3] == ["1,045", "?"]
