"""Feed ``tf.data``, and train from it: ``python train_tf_data.py FOLDER``. Without TensorFlow, the same arrays come straight."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
from train_numpy import Batches, train

try:
    import tensorflow
except ImportError:
    tensorflow = None


def dataset(batches: Batches) -> Any:
    """Return batches as a `tf.data.Dataset`, whose ``output_signature`` is theirs."""
    specs = {name: tensorflow.TensorSpec(shape, dtype) for name, (shape, dtype) in batches.signature().items()}
    return tensorflow.data.Dataset.from_generator(batches, output_signature=specs).prefetch(tensorflow.data.AUTOTUNE)


def arrays(batches: Batches) -> Iterator[dict[str, np.ndarray]]:
    """Yield the arrays of one pass."""
    yield from batches() if tensorflow is None else dataset(batches).as_numpy_iterator()


if __name__ == "__main__":
    print(f"with {'NumPy' if tensorflow is None else 'TensorFlow'}")
    print(f"held out: SDRi {train(sys.argv[1], taken=arrays):.1f} dB")
