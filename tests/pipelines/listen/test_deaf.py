"""A model that failed on every clip is told apart from clips that cannot be heard, and from a model that hears nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from pipelines.core.drive import drive
from pipelines.core.progress import Progress
from pipelines.core.stage import Batch, Context, Refusal, Result
from pipelines.core.work import Work
from pipelines.engines.inline import InlineEngine
from pipelines.listen.deaf import deaf
from toys import ToyGather, ToyIndex, ToyIngest, ToyListen


@dataclass(frozen=True)
class ToyFails(ToyListen):
    """Rejects all clips but those that it is told to serve or to drop."""

    error: str = "listener_failed"
    served: str = ""
    dropped: str = ""

    def process(self, batch: Batch, context: Context) -> Result:
        whole, result = super().process(batch, context), Result()
        for row in whole.rows:
            key = row["clip_id"]
            if key == self.served:
                result.rows.append(row)
            elif key == self.dropped:
                result.drops.append((key, "nothing_heard"))
            else:
                result.rejects.append(Refusal(key, self.error, f"KeyError: 'gain' in {key}"))
        return result


@pytest.mark.parametrize(
    ("stage", "lines"),
    [
        (ToyFails(), ["listen_toy failed on each of its 45 clips, first with: KeyError: 'gain' in toy-"]),
        (ToyFails(error="too_long"), []),
        (ToyFails(served="toy-0005"), []),
        (ToyFails(dropped="toy-0005"), []),
        (ToyListen(), []),
    ],
)
def test_what_failed_on_every_clip_is_named_with_its_reason(
    toy: Callable[..., Work], stage: ToyListen, lines: list[str]
) -> None:
    work = toy(stages=[ToyIndex(), ToyIngest(), stage, ToyGather()])
    drive(work, InlineEngine(work.context), Progress(quiet=True))
    assert [line[: len(lines[0])] for line in deaf(work)] == lines
