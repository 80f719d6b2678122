"""``python -m pipelines``: the same as ``earloom``, for ``ray job submit``."""

import sys

from pipelines.cli import main

sys.exit(main())
