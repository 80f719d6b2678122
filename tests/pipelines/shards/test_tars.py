"""A tar and its index say the same; a tar that is damaged is said to be so."""

from __future__ import annotations

import hashlib
import io
import tarfile

import pytest

from pipelines.core.tar import Packer, member
from pipelines.core.workspace import Workspace
from pipelines.shards.tars import Index, members_of, parse_index, read_tar, write_tar

SAMPLES = {f"k{n}": {"a.flac": bytes([n]) * (n * 300), "json": b"{}" * n} for n in range(1, 6)}


def chunk(key: str) -> bytes:
    return b"".join(member(f"{key}.{name}", data) for name, data in SAMPLES[key].items())


def written() -> tuple[bytes, Index]:
    file, index = io.BytesIO(), Index()
    for found in write_tar(file, map(chunk, SAMPLES)):
        index.members += [each for each, _ in found]
    return file.getvalue(), index


def test_what_is_written_is_what_a_tar_alone_tells():
    data, index = written()
    again, sha256 = read_tar(io.BytesIO(data))
    assert again == index == parse_index(index.csv())
    assert sha256 == hashlib.sha256(data).hexdigest()
    assert index.keys == list(SAMPLES)
    for each in index.members:
        assert data[each.offset : each.offset + each.size] == SAMPLES[each.key][each.member]
        assert each.sha256 == hashlib.sha256(SAMPLES[each.key][each.member]).hexdigest()


def test_any_tar_reader_reads_it():
    with tarfile.open(fileobj=io.BytesIO(written()[0])) as tar:
        names = [info.name for info in tar]
    assert names == [f"{key}.{name}" for key, files in SAMPLES.items() for name in files]


def test_pieces_of_an_index_are_the_samples_bytes():
    data, index = written()
    cut = {piece.key: data[piece.offset : piece.offset + piece.size] for piece in index.pieces("x.tar")}
    assert cut == {key: chunk(key) for key in SAMPLES}
    assert [each.member for each, _ in members_of(cut["k2"], 0)] == ["a.flac", "json"]
    assert list(Index().pieces("x.tar")) == []


def test_the_index_for_dali_is_the_one_that_a_run_writes(tmp_path):
    with Packer(Workspace(str(tmp_path)), "s", 0, 100, 10**9) as packer:
        for key, files in SAMPLES.items():
            packer.add("train", key, files)
    data = (tmp_path / "s/train-00000-000.tar").read_bytes()
    index, _ = read_tar(io.BytesIO(data))
    assert index.dali() == (tmp_path / "s/train-00000-000.idx").read_bytes()
    assert data == written()[0]


DAMAGED = {
    "is cut short": lambda data: data[:700],
    "has a broken header": lambda data: data[:100] + b"x" * 40 + data[140:],
    "does not end as a tar does": lambda data: data[:-1],
    "has a broken header .empty": lambda data: data[:-1024],
    "a name without a key or a suffix": lambda data: member("bare", b"x") + data,
}


@pytest.mark.parametrize("says", DAMAGED)
def test_a_damaged_tar_is_told(says):
    with pytest.raises(ValueError, match=says):
        read_tar(io.BytesIO(DAMAGED[says](written()[0])))


def test_a_folder_in_a_tar_is_told():
    folder = tarfile.TarInfo("k.folder")
    folder.type = tarfile.DIRTYPE
    with pytest.raises(ValueError, match=r"holds 'k.folder', which is no file"):
        read_tar(io.BytesIO(folder.tobuf(tarfile.USTAR_FORMAT) + bytes(1024)))


@pytest.mark.parametrize("sample", [b"", chunk("k1") + chunk("k2"), chunk("k3")[:-512]])
def test_bytes_that_are_not_one_sample_are_not_written_as_one(sample):
    with pytest.raises(ValueError, match="not the members of one sample|is cut short"):
        list(write_tar(io.BytesIO(), [sample]))


@pytest.mark.parametrize("data", [b"", b"key,offset\n", b"key,member,offset,size,sha256\na,b,c,d,e\n", b"\xff"])
def test_what_is_no_index_is_told(data):
    with pytest.raises(ValueError, match=".*"):
        parse_index(data)
