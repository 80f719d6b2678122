"""Evaluation sets by name: resolved from metadata alone, or a clear error."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.ingest.contamination import resolve
from schemas.errors import UserError
from schemas.recipe import Dataset

HEADER = "fname,labels,mids,split\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a data folder with the metadata of a small FSD50K and no audio."""
    truth = tmp_path / "fsd50k" / "FSD50K.ground_truth"
    truth.mkdir(parents=True)
    (truth / "dev.csv").write_text(HEADER + "11,Bark,/m/05tny_,train\n12,Bark,/m/05tny_,val\n")
    (truth / "eval.csv").write_text("fname,labels,mids\n13,Bark,/m/05tny_\n")
    return tmp_path


def test_a_set_is_found_in_the_folder_that_is_called_like_its_adapter(root):
    found = resolve("fsd50k/eval", [], root)
    assert (found.recordings, found.unnamed) == ({"fs:13"}, 0)
    assert resolve("fsd50k", [], root).recordings == {"fs:11", "fs:12", "fs:13"}


def test_a_set_is_found_where_the_recipe_says_that_its_dataset_is(root):
    (root / "fsd50k").rename(root / "elsewhere")
    dataset = Dataset(adapter="fsd50k", name="clips", path="elsewhere", splits={"eval": "train"})
    for name in ("fsd50k/eval", "clips/eval"):
        assert resolve(name, [dataset], root).recordings == {"fs:13"}, "the publisher's own word for a split counts"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("fsd50k/test", r"fsd50k has no split 'test' there; it has eval, train, val"),
        ("fsd51k/eval", r"there is no dataset or adapter 'fsd51k'; a set is `dataset` or `dataset/split`"),
        ("clotho/evaluation", r"clotho is no folder; put the metadata of clotho there, no audio is needed"),
    ],
)
def test_a_set_that_cannot_be_resolved_is_an_error(root, name, words):
    with pytest.raises(UserError, match=words):
        resolve(name, [], root)


def test_a_set_whose_rows_name_no_recording_is_an_error(root):
    (root / "clotho").mkdir()
    captions = "file_name,caption_1,caption_2,caption_3,caption_4,caption_5\na.wav,1,2,3,4,5\n"
    (root / "clotho" / "clotho_captions_evaluation.csv").write_text(captions)
    with pytest.raises(UserError, match="none of its 1 rows names a recording; see that all metadata files"):
        resolve("clotho/evaluation", [], root)
    (root / "clotho" / "clotho_metadata_evaluation.csv").write_text(
        "file_name,keywords,sound_id,sound_link,start_end_samples,manufacturer,license\na.wav,k,77,l,s,m,by\n"
    )
    assert resolve("clotho/evaluation", [], root).recordings == {"fs:77"}


def test_rows_without_a_recording_are_counted(root):
    (root / "clotho").mkdir()
    captions = "file_name,caption_1,caption_2,caption_3,caption_4,caption_5\na.wav,1,2,3,4,5\nb.wav,1,2,3,4,5\n"
    (root / "clotho" / "clotho_captions_evaluation.csv").write_text(captions)
    (root / "clotho" / "clotho_metadata_evaluation.csv").write_text(
        "file_name,keywords,sound_id,sound_link,start_end_samples,manufacturer,license\n"
        "a.wav,k,77,l,s,m,by\nb.wav,k,Not found,l,s,m,by\n"
    )
    assert resolve("clotho/evaluation", [], root).unnamed == 1


@pytest.mark.parametrize(
    ("name", "recordings"),
    [
        ("audiocaps/test", 975),
        ("esc50", 1524),
        ("fsd50k/eval", 10231),
        ("urbansound8k", 1297),
        ("vggsound/test", None),
        ("dcase2024_task9/validation", None),
    ],
)
def test_the_sets_of_the_published_systems_resolve_from_their_own_metadata(shared, name, recordings):
    found = resolve(name, [], shared)
    assert found.recordings
    if recordings is not None:
        assert len(found.recordings) == recordings


def test_a_folder_may_be_spelt_as_the_publisher_does(root):
    (root / "fsd50k").rename(root / "FSD-50K")
    assert resolve("fsd50k/eval", [], root).recordings == {"fs:13"}


def test_a_damaged_row_of_a_set_is_an_error_for_nobody_knows_what_it_named(root):
    (root / "audiocaps").mkdir()
    (root / "audiocaps" / "test.csv").write_text("audiocap_id,youtube_id,start_time,caption\n1,#NAME?,30,A dog barks\n")
    with pytest.raises(UserError, match=r"line 2: .*; mend the file, every row of a set counts"):
        resolve("audiocaps/test", [], root)


def test_lists_of_one_name_are_read_together(root):
    for folder, number in (("a", 1), ("b", 2)):
        path = root / "wavcaps" / folder / "blacklist" / "blacklist_exclude_x.json"
        path.parent.mkdir(parents=True)
        path.write_text(f'{{"FreeSound": ["{number}"]}}')
    assert resolve("wavcaps/exclude_x", [], root).recordings == {"fs:1", "fs:2"}
