"""The numbers of the page on captions: what the gate promises, what was decided, what has no support, what writing cost."""

from __future__ import annotations

from typing import Any

import yaml

from pipelines.catalog.query import dicts
from pipelines.core.workspace import Workspace

Row = dict[str, Any]

CLAIMS = 12
"""Most unsupported claims that are shown."""


def gates(workspace: Workspace) -> Row:
    """Return the strata, those with a line, the wanted rate, the least agreement, and how many candidates a line judged."""
    refine = yaml.safe_load(workspace.read("recipe.yaml"))["refine"]
    strata = dicts(
        workspace,
        """
        SELECT gates.* EXCLUDE (model), coalesce(judged.n, 0) AS judged
        FROM gates LEFT JOIN (SELECT stratum, count(*) AS n FROM verdicts GROUP BY stratum) AS judged USING (stratum)
        ORDER BY stratum <> 'all', stratum""",
    )
    certified = [row for row in strata if row["line"] is not None]
    return {
        "strata": strata,
        "whole": next((row for row in strata if row["stratum"] == "all"), None),
        "certified": certified,
        "calibrated": [row for row in strata if row["state"] == "calibrated"],
        "judged": sum(row["judged"] for row in certified),
        "verdicts": dicts(workspace, "SELECT count(*) AS n FROM verdicts")[0]["n"],
        "wanted": refine["false_accepts"],
        "min_agreement": refine["min_agreement"],
    }


def captions(workspace: Workspace) -> dict[str, list[Row]]:
    """Return decisions by method and style, of the best captions and of all candidates, and the reasons of what was not accepted."""
    counted = """
                   count(*) AS n,
                   count(*) FILTER (decision = 'accepted') AS accepted,
                   count(*) FILTER (decision = 'refused') AS refused,
                   count(*) FILTER (decision = 'abstained') AS abstained, median(probability) AS probability"""
    return {
        "methods": dicts(
            workspace,
            f"""
            SELECT coalesce(captions.method, 'none') AS method,
                   coalesce(captions.style, candidates.style, 'none') AS style, {counted}, median(score) AS score
            FROM captions LEFT JOIN candidates USING (candidate_id)
            GROUP BY 1, 2 ORDER BY n DESC, 1, 2""",
        ),
        "candidates": dicts(
            workspace,
            f"""
            SELECT method, style, round, {counted} FROM candidates JOIN verdicts USING (candidate_id, clip_id)
            GROUP BY ALL ORDER BY n DESC, method, style, round""",
        ),
        "reasons": dicts(
            workspace,
            """
            SELECT decision, reason, count(*) AS n
            FROM (SELECT decision, unnest(reasons) AS reason FROM captions)
            WHERE decision <> 'accepted' GROUP BY ALL ORDER BY n DESC, decision, reason LIMIT 12""",
        ),
    }


def claims(workspace: Workspace) -> dict[str, list[Row]]:
    """Return claims of all candidates by kind and verdict, and the most frequent ones without support, with a reason each."""
    return {
        "kinds": dicts(
            workspace,
            """
            SELECT kind, count(*) AS n, count(*) FILTER (verdict = 'supported') AS supported,
                   count(*) FILTER (verdict = 'unsupported') AS unsupported,
                   count(*) FILTER (verdict = 'visual_only') AS visual_only,
                   count(*) FILTER (verdict = 'unknown') AS unknown
            FROM claims WHERE kind <> 'none' GROUP BY kind ORDER BY n DESC, kind""",
        ),
        "unsupported": dicts(
            workspace,
            f"""
            SELECT lower("text") AS said, kind, count(DISTINCT candidate_id) AS n, count(DISTINCT clip_id) AS clips,
                   count(DISTINCT reason) AS reasons, min(reason) AS reason
            FROM claims WHERE verdict = 'unsupported'
            GROUP BY ALL ORDER BY n DESC, said, kind LIMIT {CLAIMS}""",
        ),
    }


def writing(workspace: Workspace) -> list[Row]:
    """Return of each writer its captions, how many were accepted, and what they cost; empty: nothing was asked.

    Tokens and dollars are sums over what is told; None: nothing is. Each is the share of one caption in its request.
    """
    return dicts(
        workspace,
        """
        SELECT method, model, count(*) AS n, count(DISTINCT clip_id) AS clips, count(DISTINCT request) AS requests,
               count(*) FILTER (decision = 'accepted') AS accepted,
               count(*) - least(count(tokens_in), count(tokens_out)) AS untold,
               sum(CAST(round(tokens_in * 1000) AS BIGINT)) / 1000 AS tokens_in,
               sum(CAST(round(tokens_out * 1000) AS BIGINT)) / 1000 AS tokens_out,
               sum(CAST(round(usd * 1000000000) AS BIGINT)) / 1000000000 AS usd
        FROM candidates LEFT JOIN verdicts USING (candidate_id, clip_id)
        WHERE request IS NOT NULL GROUP BY ALL ORDER BY method, model""",
    )
