"""Evaluation sets by name: resolved from metadata alone, or a clear error."""

from __future__ import annotations

from pathlib import Path

import pytest
from adapter_trees import AUDIOSET, tree

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
        ("audiocaps", 51308),
        ("fsd50k", 51197),
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


def test_two_folders_that_may_be_meant_are_an_error_that_names_both(root):
    (root / "other" / "FSD-50K").mkdir(parents=True)
    with pytest.raises(UserError, match=r"other/FSD-50K are both called like fsd50k; rename all but the one") as caught:
        resolve("fsd50k/eval", [], root)
    assert f"{root / 'fsd50k'} and " in str(caught.value)
    (root / "other").rename(root / "fsd50k" / "inner")
    assert resolve("fsd50k/eval", [], root).recordings == {"fs:13"}, "what lies in a dataset's folder is that dataset's"


def test_a_file_that_is_called_like_a_dataset_is_no_folder_of_it(root):
    (root / "FSD50K").write_text("notes")
    (root / "fsd50k").rename(root / "FSD_50K")
    assert resolve("fsd50k/eval", [], root).recordings == {"fs:13"}


def test_a_dataset_as_a_whole_must_be_whole(root):
    (root / "fsd50k" / "FSD50K.ground_truth" / "eval.csv").unlink()
    with pytest.raises(UserError, match=r"^data\.decontaminate: 'fsd50k': no recording of eval is named in ") as caught:
        resolve("fsd50k", [], root)
    assert str(caught.value).endswith(
        "they come from https://zenodo.org/records/4060432, or name the splits that are meant, e.g. fsd50k/train"
    )
    assert resolve("fsd50k/train", [], root).recordings == {"fs:11"}
    halves = [Dataset(adapter="fsd50k", path="fsd50k"), Dataset(adapter="fsd50k", name="rest", path="rest")]
    tree(root, {"rest/eval.csv": "fname,labels,mids\n13,Bark,/m/05tny_\n"})
    assert resolve("fsd50k", halves, root).recordings == {"fs:11", "fs:12", "fs:13"}, "two folders make one copy"


def test_a_split_of_which_no_row_names_a_recording_is_not_there(root):
    about = "file_name,keywords,sound_id,sound_link,start_end_samples,manufacturer,license\n"
    for n, part in enumerate(("development", "validation", "evaluation")):
        captions = f"file_name,caption_1,caption_2,caption_3,caption_4,caption_5\n{n}.wav,1,2,3,4,5\n"
        tree(root, {f"clotho/clotho_captions_{part}.csv": captions})
        if part != "evaluation":
            tree(root, {f"clotho/clotho_metadata_{part}.csv": about + f"{n}.wav,k,{n},l,s,m,by\n"})
    with pytest.raises(UserError, match=r"no recording of evaluation is named .* e\.g\. clotho/development$"):
        resolve("clotho", [], root)
    tree(root, {"clotho/clotho_metadata_evaluation.csv": about + "2.wav,k,2,l,s,m,by\n"})
    assert resolve("clotho", [], root).recordings == {"fs:0", "fs:1", "fs:2"}


@pytest.mark.parametrize(
    ("name", "missing"),
    [("audioset", "unbalanced_train"), ("clotho", "validation or evaluation"), ("vggsound", "train")],
)
def test_a_copy_that_is_not_whole_is_refused_as_a_whole(shared, name, missing):
    with pytest.raises(
        UserError, match=f"no recording of {missing} is named in .*; put the metadata of that split"
    ) as caught:
        resolve(name, [], shared)
    assert "\n" not in str(caught.value)


def test_the_evaluation_part_of_audioset_is_not_that_of_its_strong_labels(root):
    strong = "segment_id\tstart_time_seconds\tend_time_seconds\tlabel\nabcdefghijk_0\t0\t1\t/m/09x0r\n"
    tree(root, {"audioset/audioset_eval_strong.tsv": strong})
    assert resolve("audioset/eval_strong", [], root).recordings == {"yt:abcdefghijk"}
    with pytest.raises(UserError, match="audioset has no split 'eval' there; it has eval_strong"):
        resolve("audioset/eval", [], root)
    tree(root, {"audioset/eval_segments.csv": AUDIOSET + '-bcdefghijk, 0.000, 10.000, "/m/09x0r"\n'})
    assert resolve("audioset/eval", [], root).recordings == {"yt:abcdefghijk", "yt:-bcdefghijk"}
    with pytest.raises(UserError, match="audioset has no split 'eval_strong' there; it has eval"):
        resolve("audioset/eval_strong", [], root)


def test_an_empty_blacklist_is_no_set(root):
    tree(root, {"wavcaps/blacklist/blacklist_x.json": "{}"})
    with pytest.raises(UserError, match="none of its 0 rows names a recording"):
        resolve("wavcaps/x", [], root)


def test_entries_of_a_blacklist_that_name_no_recording_are_counted(root):
    tree(root, {"wavcaps/blacklist/blacklist_x.json": '{"FreeSound": ["1", "Not found"]}'})
    found = resolve("wavcaps/x", [], root)
    assert (found.recordings, found.unnamed) == ({"fs:1"}, 1)


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
