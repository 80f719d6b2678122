"""A run of given clips in a test's own folder."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from publish_runs import Make, sealed


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Return :func:`publish_runs.sealed` for ``tmp_path``."""
    return partial(sealed, tmp_path)
