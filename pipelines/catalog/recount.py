"""Recounting a run's mixtures in SQL, from its tables and the ontology's own table: nothing that planned them is asked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb

from pipelines.catalog.query import connect
from pipelines.core.workspace import Workspace
from schemas.ontology import configs_dir

_ONTOLOGY = ("audioset_ontology.csv", "audioset_strong_extra.csv")

_PREPARE = """
CREATE TEMP TABLE node AS
  SELECT class_id, coalesce(parent_ids, '') AS parent_ids, coalesce(abstract, '0') = '1' AS abstract
  FROM read_csv($files, all_varchar = true, union_by_name = true);
CREATE TEMP TABLE edge AS
  SELECT child.class_id AS child, parent.class_id AS parent
  FROM (SELECT class_id, abstract, unnest(string_split(parent_ids, ' ')) AS parent_id FROM node) AS child
  JOIN node AS parent ON parent.class_id = child.parent_id WHERE NOT child.abstract AND NOT parent.abstract;
CREATE TEMP TABLE related AS
  WITH RECURSIVE above(low, high) AS (
    SELECT child, parent FROM edge UNION SELECT above.low, edge.parent FROM above JOIN edge ON edge.child = above.high)
  SELECT low AS a, high AS b FROM above UNION SELECT high, low FROM above UNION SELECT class_id, class_id FROM node;
CREATE TEMP TABLE label AS
  SELECT DISTINCT clip_id, class_id FROM classes
  WHERE class_id IS NOT NULL AND (state = 'inferred' OR origin LIKE 'label:%' OR origin LIKE 'event:%');
CREATE TEMP TABLE present AS
  SELECT DISTINCT clip_id, unnest(list_concat(class_ids, list_concat(said_class_ids, heard_class_ids))) AS class_id FROM sources;
CREATE TEMP TABLE made AS
  SELECT mixture_id, "set", policy, split, target_clip_id, list_concat(target_clip_ids, interferer_clip_ids) AS clip_ids FROM mixtures;
CREATE TEMP TABLE member AS
  SELECT mixture_id, "set", policy, split, place, clip_ids[place] AS clip_id
  FROM (SELECT *, unnest(generate_series(1, len(clip_ids))) AS place FROM made);
CREATE TEMP TABLE pair AS
  SELECT x.mixture_id, x."set", x.policy, x.clip_id AS a, y.clip_id AS b
  FROM member AS x JOIN member AS y ON x.mixture_id = y.mixture_id AND x.place < y.place;
"""

_COLLISIONS = """
WITH meeting AS (
  SELECT mixture_id, pair.a AS a, pair.b AS b, bool_or(x.class_id = y.class_id) AS equal
  FROM pair JOIN {classes} AS x ON x.clip_id = pair.a JOIN related ON related.a = x.class_id
  JOIN {classes} AS y ON y.clip_id = pair.b AND y.class_id = related.b GROUP BY ALL)
SELECT "set", policy, count(*) AS pairs, count(meeting.equal) FILTER (meeting.equal) AS equal, count(meeting.equal) AS equal_or_related
FROM pair LEFT JOIN meeting USING (mixture_id, a, b) GROUP BY "set", policy ORDER BY "set", policy
"""

_SETS = """
SELECT "set", split, policy, count(*) AS mixtures, count(DISTINCT target_clip_id) AS clips, sum(len(clip_ids))::BIGINT AS sources
FROM made GROUP BY ALL ORDER BY ALL
"""

_IN_VAIN = """
SELECT count(DISTINCT mixture_id) FROM member JOIN mixtures USING (mixture_id)
JOIN present AS own ON own.clip_id = member.clip_id JOIN related ON related.a = own.class_id
WHERE member.policy = 'zero_target' AND list_contains(target_class_ids, related.b)
"""

_UNKNOWN = """
SELECT
  (SELECT count(*) FROM member) AS sources,
  (SELECT count(*) FROM member ANTI JOIN present USING (clip_id)) AS sources_without_class,
  (SELECT count(*) FROM member SEMI JOIN (SELECT clip_id FROM sources WHERE state = 'inferred') USING (clip_id)) AS sources_inferred,
  (SELECT count(*) FROM clips) AS clips,
  (SELECT count(DISTINCT clip_id) FROM classes WHERE state = 'unknown') AS clips_unknown,
  (SELECT count(DISTINCT clip_id) FROM classes WHERE state = 'partial') AS clips_partial,
  (SELECT count(DISTINCT clip_id) FROM classes WHERE state = 'inferred') AS clips_inferred
"""

_VETOES = """
SELECT count(*) AS clips_that_may_be_mixed,
  count(*) FILTER (len(heard_class_ids) > 0) AS clips_with_heard, coalesce(sum(len(heard_class_ids)), 0)::BIGINT AS classes_heard,
  count(*) FILTER (len(said_class_ids) > 0) AS clips_with_said, coalesce(sum(len(said_class_ids)), 0)::BIGINT AS classes_said
FROM sources
"""

_LEAKS = """
WITH used AS (
  SELECT member.*, groups.group_id, groups.split AS home, groups.withheld, clips.recording_id, clips.attribution
  FROM member JOIN groups USING (clip_id) JOIN clips USING (clip_id))
SELECT
  (SELECT count(*) FROM member) - (SELECT count(*) FROM used) AS sources_without_clip_or_group,
  (SELECT count(*) FROM used WHERE home <> split) AS sources_of_another_split,
  (SELECT count(*) FROM used WHERE withheld IS NOT NULL) AS sources_withheld,
  (SELECT count(*) FROM (SELECT group_id FROM used GROUP BY ALL HAVING count(DISTINCT split) > 1)) AS groups_in_several_splits,
  (SELECT count(*) FROM (SELECT recording_id FROM used GROUP BY ALL HAVING count(DISTINCT split) > 1)) AS recordings_in_several_splits,
  (SELECT count(*) FROM (SELECT mixture_id FROM used GROUP BY ALL HAVING count(*) > count(DISTINCT group_id))) AS mixtures_of_one_group,
  (SELECT count(*) FROM (SELECT mixture_id FROM used WHERE attribution IS NOT NULL
     GROUP BY ALL HAVING count(*) > count(DISTINCT attribution))) AS mixtures_of_one_uploader
"""

_LEVELS = """
SELECT "set", count(*) AS mixtures, count(snr_db) AS with_snr, count(achieved_snr_db) AS with_achieved_snr,
  min(snr_db) AS asked_least_db, favg(snr_db) AS asked_mean_db, max(snr_db) AS asked_most_db,
  min(achieved_snr_db) AS achieved_least_db, favg(achieved_snr_db) AS achieved_mean_db, max(achieved_snr_db) AS achieved_most_db,
  count(*) FILTER (turned_down_db > 0) AS turned_down, max(turned_down_db) AS turned_down_most_db,
  max(peak) AS highest_peak, favg(overlap) AS overlap_mean, min(overlap) AS overlap_least
FROM mixtures GROUP BY "set" ORDER BY "set"
"""

_SOURCE_LEVELS = """
SELECT "set", source.role AS role, count(source.level_db) AS asked, min(source.level_db) AS asked_least_db,
  favg(source.level_db) AS asked_mean_db, max(source.level_db) AS asked_most_db,
  max(abs(source.level_db - achieved)) AS farthest_from_asked_db
FROM (SELECT mixtures."set", unnest(plan.sources) AS source, unnest(achieved_db) AS achieved FROM mixtures JOIN plan USING (mixture_id))
WHERE source.level_db IS NOT NULL GROUP BY ALL ORDER BY ALL
"""

_DRAWN = """
SELECT "set", max(greatest(place / n - law, law - (place - 1) / n)) AS distance
FROM (SELECT "set", row_number() OVER (PARTITION BY "set" ORDER BY snr_db) AS place, count(*) OVER (PARTITION BY "set") AS n,
        (snr_db - lows[list_position(names, "set")]) / widths[list_position(names, "set")] AS law
      FROM mixtures, (SELECT $names::VARCHAR[] AS names, $lows::DOUBLE[] AS lows, $widths::DOUBLE[] AS widths)
      WHERE list_contains(names, "set") AND snr_db IS NOT NULL)
GROUP BY "set" ORDER BY "set"
"""

_REFUSED = 'SELECT "set", refused AS reason, count(*) AS mixtures FROM plan WHERE refused IS NOT NULL GROUP BY ALL ORDER BY ALL'

_DROPPED = """
SELECT stage, reason, count(*) AS keys FROM drops
WHERE stage IN ('sources', 'plan', 'mixtures') OR reason LIKE 'decontaminated:%' GROUP BY ALL ORDER BY ALL
"""

_REJECTED = "SELECT stage, error, count(*) AS keys FROM rejects WHERE stage IN ('sources', 'plan', 'mixtures') GROUP BY ALL ORDER BY ALL"

_AT_ONCE = 256
"""Mixtures whose rows are held at once."""

_SAMPLES = """
SELECT mixtures.*, plan.sources AS sources, plan.length AS length
FROM mixtures JOIN plan USING (mixture_id) ORDER BY mixture_id LIMIT $most
"""

_PLACES = 'SELECT clip_id, tar, "offset", size FROM clips SEMI JOIN (SELECT unnest($wanted) AS clip_id) USING (clip_id)'


def recount(workspace: Workspace, uniform: dict[str, tuple[float, float]]) -> dict[str, Any]:
    """Return what a finished run's tables say of its mixtures, as plain values.

    ``collisions`` counts pairs of sources (targets and interferers; no background) of each set and policy: ``labels`` by the
    labels of ``classes`` (of a clip without any, by what is inferred), ``present`` by all classes that count as present. Two
    classes are related where one is above the other along a path without an abstract node; the closure is a recursive query over
    the ontology's table, and shares no code with what planned the mixtures.

    Args:
        workspace: the run.
        uniform: set -> bounds in dB between which its asked SNR is drawn uniformly; ``distance`` is the Kolmogorov-Smirnov
            statistic of what was drawn against that law.

    Raises:
        UserError: the folder holds no finished run.
        RunStopped: files of the run are missing.
    """
    files = [str(Path(configs_dir()) / "labels" / name) for name in _ONTOLOGY]
    with connect(workspace) as connection:
        for statement in _PREPARE.split(";\n"):
            if statement.strip():
                connection.execute(statement, {"files": files} if "$files" in statement else None)
        drawn = {
            "names": list(uniform),
            "lows": [low for low, _ in uniform.values()],
            "widths": [high - low for low, high in uniform.values()],
        }
        return {
            "sets": _dicts(connection, _SETS),
            "collisions": {
                by: _dicts(connection, _COLLISIONS.format(classes=table))
                for by, table in (("labels", "label"), ("present", "present"))
            },
            "zero_target_heard": _dicts(connection, f"SELECT ({_IN_VAIN}) AS mixtures")[0]["mixtures"],
            "unknown": _dicts(connection, _UNKNOWN)[0],
            "vetoes": _dicts(connection, _VETOES)[0],
            "leaks": _dicts(connection, _LEAKS)[0],
            "levels": _dicts(connection, _LEVELS),
            "source_levels": _dicts(connection, _SOURCE_LEVELS),
            "drawn": _dicts(connection, _DRAWN, drawn) if uniform else [],
            "refused": _dicts(connection, _REFUSED),
            "dropped": _dicts(connection, _DROPPED),
            "rejected": _dicts(connection, _REJECTED),
        }


def samples(workspace: Workspace, most: int | None) -> Iterator[tuple[dict[str, Any], dict[str, dict[str, Any]]]]:
    """Yield a mixture's row with its planned ``sources`` and ``length``, and the places in the clip store of the clips in it.

    Args:
        workspace: the run.
        most: how many; None: all. They are the first in order of ``mixture_id``, which is a hash: a fair sample, and always the same.
    """
    with connect(workspace) as connection:
        cursor = connection.execute(_SAMPLES, {"most": most})
        names = [item[0] for item in cursor.description or []]
        places = connection.cursor()
        while rows := cursor.fetchmany(_AT_ONCE):
            found = [dict(zip(names, row, strict=True)) for row in rows]
            wanted = sorted({source["clip_id"] for row in found for source in row["sources"]})
            clips = {clip["clip_id"]: clip for clip in _dicts(places, _PLACES, {"wanted": wanted})}
            yield from ((row, clips) for row in found)


def _dicts(
    connection: duckdb.DuckDBPyConnection, sql: str, parameters: dict[str, Any] | None = None
) -> list[dict[str, Any]]:
    """Return rows as dicts; floats are rounded to 6 decimals, so that the order in which threads add does not show."""
    cursor = connection.execute(sql, parameters)
    names = [item[0] for item in cursor.description or []]
    return [dict(zip(names, map(_rounded, row), strict=True)) for row in cursor.fetchall()]


def _rounded(value: Any) -> Any:
    return round(value, 6) if isinstance(value, float) else value
