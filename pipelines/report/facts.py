"""The numbers of the page: SQL over the run's views, with sums of integers, the same in any order."""

from __future__ import annotations

import math
from typing import Any

from pipelines.catalog.query import dicts
from pipelines.core.workspace import Workspace
from pipelines.report.charts import Bin, nice_step
from schemas.licences import LICENCES
from schemas.ontology import default_ontology

Row = dict[str, Any]

BARS = 12
"""Bars of a histogram, at most."""


def summary(workspace: Workspace) -> Row:
    """Return the figures at the top of the page."""
    (row,) = dicts(
        workspace,
        """
        SELECT (SELECT count(*) FROM records) AS records,
               (SELECT count(*) FROM clips) AS clips,
               (SELECT count(DISTINCT recording_id) FROM clips) AS recordings,
               (SELECT coalesce(sum(CAST(round(duration_s * 1000) AS BIGINT)), 0) FROM clips) AS milliseconds,
               (SELECT count(*) FROM captions WHERE decision = 'accepted') AS accepted,
               (SELECT count(*) FROM captions WHERE decision = 'refused') AS refused,
               (SELECT count(*) FROM captions WHERE decision = 'abstained') AS abstained,
               (SELECT count(*) FROM mixtures) AS mixtures,
               (SELECT count(DISTINCT tar) FROM samples) AS shards,
               (SELECT count(*) FROM rejects) AS rejects,
               (SELECT count(*) FROM drops) AS drops""",
    )
    return row | {"seconds": row["milliseconds"] / 1000}


def stages(workspace: Workspace) -> list[Row]:
    """Return what each stage took in and what became of it, in the order of the data's flow: the markers'."""
    return dicts(
        workspace,
        """
        SELECT stage, count(*) AS commits, sum(rows_in) AS rows_in, sum(rows_out) AS rows_out,
               sum(rejects) AS rejects, sum(drops) AS drops,
               sum(rows_in) - sum(rows_out) - sum(rejects) - sum(drops) AS missing,
               sum(CAST(round(seconds * 1000) AS BIGINT)) / 1000 AS seconds
        FROM (SELECT *, row_number() OVER () AS place FROM markers)
        GROUP BY stage ORDER BY min(place)""",
    )


def rejects(workspace: Workspace) -> list[Row]:
    """Return errors by stage and class with their count and up to three examples, the most frequent first."""
    found = dicts(
        workspace,
        """
        SELECT stage, error, count(*) OVER same AS n, clip_id, source, message
        FROM rejects WINDOW same AS (PARTITION BY stage, error)
        QUALIFY row_number() OVER (PARTITION BY stage, error ORDER BY md5(clip_id), clip_id) <= 3
        ORDER BY n DESC, stage, error, md5(clip_id), clip_id""",
    )
    groups: dict[tuple[str, str], Row] = {}
    for row in found:
        group = groups.setdefault((row["stage"], row["error"]), {**row, "examples": []})
        group["examples"].append(row)
    return list(groups.values())


def drops(workspace: Workspace) -> list[Row]:
    """Return reasons by stage with their count, the most frequent first."""
    return dicts(
        workspace,
        """
        SELECT stage, reason, count(*) AS n FROM drops GROUP BY ALL ORDER BY n DESC, stage, reason""",
    )


def origins(workspace: Workspace) -> list[Row]:
    """Return clips, seconds and up to four licences of each dataset and split."""
    found = dicts(
        workspace,
        """
        SELECT dataset, split, licence, count(*) AS n,
               sum(CAST(round(duration_s * 1000) AS BIGINT)) AS milliseconds
        FROM clips GROUP BY ALL ORDER BY dataset, split, n DESC, licence""",
    )
    groups: dict[tuple[str, str], Row] = {}
    for row in found:
        dataset, split = row["dataset"], row["split"]
        empty: Row = {"dataset": dataset, "split": split, "clips": 0, "milliseconds": 0, "licences": []}
        group = groups.setdefault((dataset, split), empty)
        group["clips"] += row["n"]
        group["milliseconds"] += row["milliseconds"]
        group["licences"].append((row["licence"], row["n"]))
    for group in groups.values():
        found_here = group["licences"]
        # Unknown comes first whatever its rank: it is what a reader must not overlook.
        shown = sorted(found_here, key=lambda item: item[0] != "unknown")[:4]
        more = len(found_here) - len(shown)
        group |= {"licences": shown, "more": more, "seconds": group["milliseconds"] / 1000}
    return list(groups.values())


def licences(workspace: Workspace) -> list[Row]:
    """Return clips, seconds, accepted captions and mixtures of each licence and what it asks for, the most restrictive first."""
    found = dicts(
        workspace,
        """
        SELECT licence, sum(clips) AS clips, sum(milliseconds) / 1000 AS seconds, sum(captions) AS captions,
               sum(mixtures) AS mixtures
        FROM (SELECT licence, 1 AS clips, CAST(round(duration_s * 1000) AS BIGINT) AS milliseconds, 0 AS captions,
                     0 AS mixtures FROM clips
              UNION ALL SELECT licence, 0, 0, 1, 0 FROM captions WHERE decision = 'accepted'
              UNION ALL SELECT licence, 0, 0, 0, 1 FROM mixtures)
        GROUP BY licence""",
    )
    order = list(LICENCES)
    found.sort(key=lambda row: order.index(row["licence"]), reverse=True)
    return [row | {"asks": LICENCES[row["licence"]]} for row in found]


def sources(workspace: Workspace) -> dict[str, list[Row]]:
    """Return what the files were like: their own rates, and what a careful reader should know of them."""
    return {
        "rates": dicts(
            workspace,
            """
            SELECT source_rate AS name, count(*) AS n FROM clips GROUP BY ALL ORDER BY source_rate""",
        ),
        "notes": dicts(
            workspace,
            """
            SELECT note AS name, count(*) AS n FROM clips WHERE note IS NOT NULL
            GROUP BY ALL ORDER BY n DESC, note""",
        ),
    }


def classes(workspace: Workspace) -> dict[str, Any]:
    """Return the most frequent classes, names that map to none, the number of classes, and clips by state."""
    states = dicts(workspace, "SELECT state, count(DISTINCT clip_id) AS n FROM classes GROUP BY ALL")
    return {
        "top": dicts(
            workspace,
            """
            SELECT class_name AS name, count(DISTINCT clip_id) AS n FROM classes WHERE class_id IS NOT NULL
            GROUP BY class_id, class_name ORDER BY n DESC, class_name, class_id LIMIT 20""",
        ),
        "unmapped": dicts(
            workspace,
            """
            SELECT class_name AS name, count(DISTINCT clip_id) AS n FROM classes
            WHERE class_id IS NULL AND class_name IS NOT NULL
            GROUP BY class_name ORDER BY n DESC, class_name LIMIT 20""",
        ),
        "distinct": dicts(workspace, "SELECT count(DISTINCT class_id) AS n FROM classes")[0]["n"],
        "states": {row["state"]: row["n"] for row in states},
    }


def listeners(workspace: Workspace) -> dict[str, list[Row]]:
    """Return what confidences are worth by listener, who states none, the classes with most clips, and agreement in pairs."""
    known = default_ontology()
    found = {
        "worth": dicts(
            workspace,
            """
            SELECT pool.*, count(each.class_id) AS classes,
                   count(*) FILTER (each.method = 'isotonic') AS own,
                   count(*) FILTER (each.method = 'pooled') AS lent
            FROM (SELECT * FROM calibrations WHERE class_id IS NULL) AS pool
            LEFT JOIN (SELECT * FROM calibrations WHERE class_id IS NOT NULL) AS each USING (listener)
            GROUP BY ALL ORDER BY listener""",
        ),
        "unsure": dicts(
            workspace,
            """
            SELECT clip_id AS listener FROM drops
            WHERE stage = 'calibrate' AND reason = 'states_no_confidence' AND clip_id <> 'publisher' ORDER BY clip_id""",
        ),
        "classes": dicts(
            workspace,
            """
            SELECT * FROM calibrations WHERE class_id IS NOT NULL AND positives + negatives > 0
            QUALIFY row_number() OVER (PARTITION BY listener ORDER BY positives + negatives DESC, class_id) <= 20
            ORDER BY listener, positives + negatives DESC, class_id""",
        ),
        "pairs": dicts(
            workspace,
            """
            SELECT * FROM agreements WHERE class_id IS NULL AND (other = 'publisher' OR
                   (listener <> 'publisher' AND listener < other)) ORDER BY listener, other <> 'publisher', other""",
        ),
        "shared": dicts(
            workspace,
            """
            SELECT * FROM agreements WHERE class_id IS NOT NULL AND (other = 'publisher' OR
                   (listener <> 'publisher' AND listener < other))
            QUALIFY row_number() OVER (PARTITION BY listener, other
                                       ORDER BY "both" + only_listener + only_other DESC, class_id) <= 20
            ORDER BY listener, other <> 'publisher', other, "both" + only_listener + only_other DESC, class_id""",
        ),
    }
    for row in (*found["classes"], *found["shared"]):
        row["class_name"] = known[row["class_id"]].name if row["class_id"] in known else row["class_id"]
    return found


def mixtures(workspace: Workspace) -> Row:
    """Return how well the asked ratio was met, and up to 400 pairs of asked and achieved, in dB; and mixtures by set and policy."""
    (row,) = dicts(
        workspace,
        """
        SELECT count(*) AS n, max(abs(achieved_snr_db - snr_db)) AS worst,
               median(abs(achieved_snr_db - snr_db)) AS typical, max(peak) AS peak,
               count(*) FILTER (licence = 'unknown') AS unlicensed FROM mixtures""",
    )
    points = dicts(
        workspace,
        """
        SELECT snr_db, achieved_snr_db FROM mixtures WHERE snr_db IS NOT NULL AND achieved_snr_db IS NOT NULL
        ORDER BY md5(mixture_id), mixture_id LIMIT 400""",
    )
    sets = dicts(
        workspace,
        """
        SELECT "set", split, policy, count(*) AS planned, count(refused) AS refused,
               list_sort(list_distinct(list(refused) FILTER (refused IS NOT NULL))) AS reasons
        FROM plan GROUP BY ALL ORDER BY "set", split, policy""",
    )
    return row | {"points": [(point["snr_db"], point["achieved_snr_db"]) for point in points], "sets": sets}


def shards(workspace: Workspace) -> list[Row]:
    """Return where shards lie: a pattern per kind and split, with tars, samples and bytes of the samples."""
    return dicts(
        workspace,
        r"""
        SELECT kind, split, regexp_replace(tar, '-[0-9]+-[0-9]+\.tar$', '-*.tar') AS pattern,
               count(DISTINCT tar) AS tars, count(*) AS samples, sum("size") AS bytes
        FROM samples GROUP BY ALL ORDER BY kind, split, pattern""",
    )


def bins(
    workspace: Workspace,
    values: str,
    kinds: tuple[str, ...] = ("",),
    *,
    low: float | None = None,
    step: float | None = None,
    whole: bool = False,
) -> list[Bin]:
    """Return the histogram of a query's column ``x`` by its column ``kind``; empty where every value is null.

    Args:
        workspace: a finished run.
        values: a SELECT of ``x``, and of ``kind`` where there are several.
        kinds: the kinds in the order in which they are stacked.
        low: where the first bar begins; None: just below the least value.
        step: width of a bar; None: the nicest that needs at most ``BARS``.
        whole: the values are whole numbers, so that a bar of width 1 is centred on its value.
    """
    (span,) = dicts(workspace, f"SELECT min(x) AS least, max(x) AS most FROM ({values})")
    if span["least"] is None:
        return []
    wide = step or nice_step(span["most"] - (span["least"] if low is None else low), BARS - 1)
    wide = max(wide, 1.0) if whole else wide
    shift = 0.5 if whole else 0.0
    base = (math.floor(span["least"] / wide) * wide if low is None else low) + shift
    kind = "kind" if len(kinds) > 1 else "''"
    found = dicts(
        workspace,
        f"""
        SELECT CAST(greatest(ceil((x - {base!r}) / {wide!r}) - 1, 0) AS BIGINT) AS bar, {kind} AS kind,
               count(*) AS n
        FROM ({values}) WHERE x IS NOT NULL GROUP BY ALL""",
    )
    counts = {(row["bar"], row["kind"]): row["n"] for row in found}
    last = max(bar for bar, _ in counts)
    stacks = [tuple((kind, counts.get((n, kind), 0)) for kind in kinds) for n in range(last + 1)]
    return [Bin(base + n * wide, base + (n + 1) * wide, stack) for n, stack in enumerate(stacks)]
