"""The maps of splits that adapters are given."""

from __future__ import annotations

from pipelines.ingest.splits import Asked, Verbatim, Word


def test_a_split_is_the_publishers_word_and_knows_ours():
    splits = Verbatim({"dev": "train"})
    found = splits.get("dev", "val"), splits.get("eval", "test")
    assert [(str(word), word.ours) for word in found] == [("dev", "train"), ("eval", "test")]
    assert isinstance(found[0], Word)


def test_what_an_adapter_never_asks_for_is_known():
    splits = Asked({"dev": "train", "trian": "train"})
    assert (splits.get("dev", "val"), splits.get("eval", "test"), splits.get("other")) == ("train", "test", None)
    assert splits.keys() - splits.asked == {"trian"}
