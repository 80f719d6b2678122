"""Feed a dataset folder to ``tf.data``: ``python with_tf_data.py FOLDER``. TensorFlow itself is not imported here.

With it::

    import tensorflow as tf

    make, signature = generator(FOLDER)
    specs = {name: tf.TensorSpec(shape, dtype) for name, (shape, dtype) in signature.items()}
    data = tf.data.Dataset.from_generator(make, output_signature=specs).batch(8).prefetch(tf.data.AUTOTUNE)
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from plain_tar import samples


def generator(
    folder: str | Path, split: str = "train", name: str = "mix"
) -> tuple[Callable[[], Iterator[dict[str, Any]]], dict[str, tuple[tuple[int | None, ...], str]]]:
    """Return a function that begins a pass, and of each of its values the shape and type."""

    def make() -> Iterator[dict[str, Any]]:
        for sample in samples(folder, split, name):
            yield {
                "key": sample["key"],
                "query": sample["json"]["query"],
                "mixture": sample["mixture"].astype(np.float32) / 32768,
                "target": sample["target"].astype(np.float32) / 32768,
            }

    words, sound = ((), "string"), ((None,), "float32")
    return make, {"key": words, "query": words, "mixture": sound, "target": sound}


if __name__ == "__main__":
    for sample in generator(sys.argv[1])[0]():
        print(sample["key"], sample["mixture"].shape, sample["query"])
