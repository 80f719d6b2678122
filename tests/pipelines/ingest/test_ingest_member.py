"""Audio inside other files: exactly its bytes, in any order, or a refusal that says why not."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.ipc as ipc
import pyarrow.parquet as pq
import pytest
import soundfile

from pipelines.ingest.decode import decode
from pipelines.ingest.member import in_row, in_tar, located
from schemas.errors import Reject

AUDIO = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
VALUES = [f"value {n}".encode() * (n + 1) for n in range(50)]


def structs(values: list[bytes | None]) -> pa.Array:
    return pa.array([{"bytes": value, "path": f"{n}.wav"} for n, value in enumerate(values)], AUDIO)


def write_parquet(path: Path, table: pa.Table) -> None:
    pq.write_table(table, path, row_group_size=7)


def write_stream(path: Path, table: pa.Table) -> None:
    with pa.OSFile(str(path), "wb") as file, ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=7)


def write_file(path: Path, table: pa.Table) -> None:
    with pa.OSFile(str(path), "wb") as file, ipc.new_file(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=7)


def write_compressed(path: Path, table: pa.Table) -> None:
    options = ipc.IpcWriteOptions(compression="zstd")
    with pa.OSFile(str(path), "wb") as file, ipc.new_stream(file, table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=7)


WRITERS = [write_parquet, write_stream, write_file, write_compressed]
Writer = Callable[[Path, pa.Table], None]


def read(root: Path, name: str, member: str | None) -> bytes:
    with located(root, name, member) as path:
        return path.read_bytes()


def refusal(root: Path, name: str, member: str) -> str:
    with pytest.raises(Reject) as caught, located(root, name, member):
        pass
    assert caught.value.error == "corrupt_member"
    assert str(root) not in caught.value.message
    return caught.value.message


def test_a_file_without_a_member_is_given_as_it_is(tmp_path):
    with located(tmp_path, "deep/a.wav", None) as path:
        assert path == tmp_path / "deep/a.wav"


def test_a_tars_member_is_copied_exactly_and_the_copy_goes_with_its_use(tmp_path):
    sound = io.BytesIO()
    samples = 0.1 * np.random.default_rng(0).standard_normal(8000)
    soundfile.write(sound, samples, 8000, format="FLAC")
    with tarfile.open(tmp_path / "s.tar", "w") as tar:
        for name, data in (("a.json", b"{}"), ("a.flac", sound.getvalue()), ("b.bin", os.urandom(3 << 20)), ("c", b"")):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    with tarfile.open(tmp_path / "s.tar") as tar:
        for info in tar:
            wanted = tar.extractfile(info)
            assert wanted is not None
            assert read(tmp_path, "s.tar", in_tar(info.offset_data, info.size)) == wanted.read()
        flac = tar.getmember("a.flac")
    with located(tmp_path, "s.tar", in_tar(flac.offset_data, flac.size)) as path:
        assert len(decode(path).samples) == 8000, "its content says what it is, whatever its name"
    assert not path.exists()


def test_a_place_beyond_the_end_of_a_tar_is_refused(tmp_path):
    (tmp_path / "s.tar").write_bytes(bytes(1000))
    words = refusal(tmp_path, "s.tar", in_tar(900, 300))
    assert words == "it should lie at bytes 900 to 1200, but the file ends 200 bytes before that"
    assert "ends 300 bytes before" in refusal(tmp_path, "s.tar", in_tar(5000, 300))


@pytest.mark.parametrize("member", ["", "bytes:1", "bytes:-1+4", "row:3", "row:x/audio", "a.wav"])
def test_a_member_that_names_no_place_is_refused(tmp_path, member):
    (tmp_path / "s.tar").write_bytes(bytes(1000))
    assert refusal(tmp_path, "s.tar", member) == f"{member!r} names no place in a file"


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("column", ["audio", "a/b", "the.sound"])
def test_rows_are_found_in_any_order(tmp_path, write: Writer, column):
    write(tmp_path / "rows.bin", pa.table({"x": range(50), column: structs(list(VALUES)), "y": range(50)}))
    for order in (range(50), range(3, 50, 8), reversed(range(50)), np.random.default_rng(0).permutation(50).tolist()):
        for row in order:
            assert read(tmp_path, "rows.bin", in_row(row, column)) == VALUES[row]


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary()])
def test_a_column_may_hold_bytes_without_a_struct(tmp_path, write: Writer, kind):
    write(tmp_path / "rows", pa.table({"wav": pa.array(VALUES, kind)}))
    assert read(tmp_path, "rows", in_row(49, "wav")) == VALUES[49]


@pytest.mark.parametrize("write", WRITERS)
def test_rows_that_hold_nothing_are_refused_with_the_reason(tmp_path, write: Writer):
    write(tmp_path / "rows", pa.table({"x": range(3), "audio": structs([b"a", None, b"c"])}))
    assert refusal(tmp_path, "rows", in_row(1, "audio")) == "row 1 holds no bytes in 'audio'"
    assert refusal(tmp_path, "rows", in_row(3, "audio")) == "there is no row 3: the file has 3, counted from 0"
    assert refusal(tmp_path, "rows", in_row(0, "x")) == "no column 'x' of bytes; there are 'x', 'audio'"
    assert refusal(tmp_path, "rows", in_row(0, "sound")) == "no column 'sound' of bytes; there are 'x', 'audio'"
    assert read(tmp_path, "rows", in_row(2, "audio")) == b"c", "a refusal costs the other rows nothing"
    write(tmp_path / "none", pa.table({"audio": structs([])}))
    assert "there is no row 0" in refusal(tmp_path, "none", in_row(0, "audio"))


@pytest.mark.parametrize("write", WRITERS)
def test_a_file_that_was_written_anew_is_read_anew(tmp_path, write: Writer):
    for content in (b"first", b"the second"):
        write(tmp_path / "rows", pa.table({"audio": structs([content])}))
        assert read(tmp_path, "rows", in_row(0, "audio")) == content


@pytest.mark.parametrize("write", WRITERS)
def test_a_file_that_is_cut_short_or_something_else_is_refused(tmp_path, write: Writer):
    write(tmp_path / "rows", pa.table({"audio": structs([os.urandom(1000) for _ in range(50)])}))
    os.truncate(tmp_path / "rows", 30_000)
    assert "row 49 cannot be read: " in refusal(tmp_path, "rows", in_row(49, "audio"))
    (tmp_path / "rows").write_bytes(b"PAR1" + bytes(100))
    assert "row 0 cannot be read: " in refusal(tmp_path, "rows", in_row(0, "audio"))
    for content in (b"", b"ARROW1\0\0", b"hello world" * 10):
        (tmp_path / "rows").write_bytes(content)
        assert "row 0 cannot be read: " in refusal(tmp_path, "rows", in_row(0, "audio"))


@pytest.mark.parametrize("write", [write_stream, write_file])
def test_an_offset_that_leads_out_of_the_file_is_refused_and_does_not_end_the_process(tmp_path, write: Writer):
    write(tmp_path / "rows", pa.table({"audio": structs([b"a" * 11, b"b" * 13, b"c" * 17])}))
    whole, offsets = (tmp_path / "rows").read_bytes(), np.array([0, 11, 24, 41], "<i4").tobytes()
    assert whole.count(offsets) == 1
    (tmp_path / "rows").write_bytes(whole.replace(offsets, np.array([0, 11, 1 << 30, 41], "<i4").tobytes()))
    assert "row 1 cannot be read: " in refusal(tmp_path, "rows", in_row(1, "audio"))


@pytest.mark.parametrize(("write", "most"), [(write_stream, 1 << 16), (write_file, 1 << 16), (write_parquet, 12 << 20)])
def test_what_is_held_in_memory_does_not_grow_with_the_file(tmp_path, write: Writer, most):
    write(tmp_path / "rows", pa.table({"audio": structs([os.urandom(400_000) for _ in range(140)])}))
    before = pa.total_allocated_bytes()
    for row in range(140):
        read(tmp_path, "rows", in_row(row, "audio"))
        assert pa.total_allocated_bytes() - before < most, "the file has 56 MB"
