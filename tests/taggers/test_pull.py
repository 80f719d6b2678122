"""Weights are fetched once, from a real server that may lie, break off or be gone, and come under their name whole or not at all."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from schemas.errors import RunStopped, UserError
from taggers.pull import pull, wrong
from taggers.weights import Weights

REPO = Path(__file__).resolve().parents[2]
CONTENT = np.random.default_rng(1).bytes(3_000_000)
OTHER = np.random.default_rng(2).bytes(3_000_000)
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def md5(content: bytes) -> str:
    return f"md5:{hashlib.md5(content).hexdigest()}"


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@dataclass
class Served:
    """What a server does: by path, and for all.

    Attributes:
        files: path -> content.
        cut_after: bytes after which it closes the connection, once per entry.
        ranges: whether it answers ranges.
        extra: bytes that it announces beyond what it has.
        shift: bytes by which the part that it sends differs from the one that was asked for.
        status: what it answers to everything.
        asked: the requests so far: method, path, range.
    """

    files: dict[str, bytes]
    cut_after: list[int] = field(default_factory=list)
    ranges: bool = True
    extra: int = 0
    shift: int = 0
    status: int = 0
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)
    address: str = ""


class Handler(BaseHTTPRequestHandler):
    """Serves files at `/<path>`, and a hub's repository at the routes that huggingface_hub asks."""

    protocol_version = "HTTP/1.1"
    served: ClassVar[Served]

    def log_message(self, *args: Any) -> None:
        pass

    def _send(self, status: int, headers: dict[str, Any], content: bytes = b"", cut: int | None = None) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, str(value))
        self.end_headers()
        if self.command == "HEAD":
            return
        self.wfile.write(content if cut is None else content[:cut])
        if cut is not None or headers["Content-Length"] != len(content):
            self.close_connection = True

    def do_GET(self) -> None:
        served = self.served
        asked = self.headers["Range"]
        served.asked.append((self.command, self.path, asked))
        path = self.path.rsplit(f"/resolve/{COMMIT}/", 1)[-1].lstrip("/")
        if served.status or path not in served.files:
            self._send(served.status or 404, {"Content-Length": 0, "X-Error-Code": "EntryNotFound"})
            return
        content = served.files[path]
        begin = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and served.ranges else 0
        if begin >= len(content):
            self._send(416, {"Content-Length": 0, "Content-Range": f"bytes */{len(content)}"})
            return
        begin += served.shift if begin else 0
        sent = content[begin:]
        headers = {"Content-Length": len(sent) + served.extra, "X-Repo-Commit": COMMIT}
        headers |= {"ETag": f'"{hashlib.sha256(content).hexdigest()}"'}
        if asked and served.ranges:
            headers["Content-Range"] = f"bytes {begin}-{len(content) - 1}/{len(content)}"
        cut = served.cut_after.pop(0) if served.cut_after and self.command == "GET" else None
        self._send(206 if "Content-Range" in headers else 200, headers, sent, cut)

    do_HEAD = do_GET

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.served.asked.append(("POST", self.path, None))
        content = json.dumps(LISTED).encode()
        if self.served.status:
            self._send(self.served.status, {"Content-Length": 0})
        else:
            self._send(200, {"Content-Length": len(content), "Content-Type": "application/json"}, content)


class Server(ThreadingHTTPServer):
    """Says nothing of a client that has gone away."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setenv("no_proxy", "*")
    behaviour = Served({"weights.pth": CONTENT})
    handler = type("Own", (Handler,), {"served": behaviour})
    server = Server(("127.0.0.1", 0), handler)
    behaviour.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield behaviour
    server.shutdown()
    server.server_close()
    thread.join()


def weights(served: Served, digest: str | None = None, path: str = "weights.pth") -> Weights:
    return Weights("toy", ("toy.pth",), f"{served.address}/{path}", digests=(("toy.pth", digest or md5(CONTENT)),))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


@pytest.mark.parametrize("digest", [md5(CONTENT), sha256(CONTENT), sha256(CONTENT).upper().replace("SHA", "sha")])
def test_a_file_is_fetched_under_its_own_name_and_only_once(served: Served, tmp_path: Path, digest: str) -> None:
    folder = tmp_path / "models" / "toy"
    assert pull(weights(served, digest), folder) == [folder / "toy.pth"]
    assert (folder / "toy.pth").read_bytes() == CONTENT
    assert names(folder) == ["toy.pth"]
    served.status = 500
    assert pull(weights(served, digest), folder) == [folder / "toy.pth"]
    assert served.asked == [("GET", "/weights.pth", None)]


def test_a_file_that_is_there_and_is_another_is_replaced(served: Served, tmp_path: Path) -> None:
    (tmp_path / "toy.pth").write_bytes(OTHER)
    pull(weights(served), tmp_path)
    assert (tmp_path / "toy.pth").read_bytes() == CONTENT


def test_other_bytes_than_stated_are_removed_and_what_was_there_stays(served: Served, tmp_path: Path) -> None:
    (tmp_path / "toy.pth").write_bytes(b"old")
    served.files["weights.pth"] = OTHER
    with pytest.raises(ValueError, match=rf"toy\.pth: .*its md5 is {md5(OTHER)[4:]}, stated is {md5(CONTENT)[4:]}"):
        pull(weights(served), tmp_path)
    assert names(tmp_path) == ["toy.pth"]
    assert (tmp_path / "toy.pth").read_bytes() == b"old"


def test_a_connection_that_is_cut_leaves_no_file_and_the_next_time_goes_on_from_there(
    served: Served, tmp_path: Path
) -> None:
    served.cut_after = [1_000_000, 500_000]
    for here in (1_000_000, 1_500_000):
        with pytest.raises(UserError, match=f"broke off after {here} of 3000000 bytes"):
            pull(weights(served), tmp_path)
        assert names(tmp_path) == [".toy.pth.part"]
    pull(weights(served), tmp_path)
    assert [asked for _, _, asked in served.asked] == [None, "bytes=1000000-", "bytes=1500000-"]
    assert (tmp_path / "toy.pth").read_bytes() == CONTENT
    assert names(tmp_path) == ["toy.pth"]


def test_a_server_without_ranges_sends_it_all_again(served: Served, tmp_path: Path) -> None:
    served.cut_after, served.ranges = [1_000_000], False
    with pytest.raises(UserError, match="broke off"):
        pull(weights(served), tmp_path)
    pull(weights(served), tmp_path)
    assert (tmp_path / "toy.pth").read_bytes() == CONTENT


def test_a_half_of_another_file_is_thrown_away(served: Served, tmp_path: Path) -> None:
    for half in (OTHER[:1_000_000], CONTENT + b"more"):
        (tmp_path / ".toy.pth.part").write_bytes(half)
        served.asked.clear()
        pull(weights(served), tmp_path)
        assert [asked for _, _, asked in served.asked] == [f"bytes={len(half)}-", None]
        assert (tmp_path / "toy.pth").read_bytes() == CONTENT
        (tmp_path / "toy.pth").unlink()
    (tmp_path / ".toy.pth.part").write_bytes(CONTENT)  # killed between the last byte and the name
    served.asked.clear()
    pull(weights(served), tmp_path)
    assert len(served.asked) == 1


def test_a_server_that_announces_more_than_it_sends_is_believed_to_have_broken_off(
    served: Served, tmp_path: Path
) -> None:
    served.extra = 10
    with pytest.raises(UserError, match="broke off after 3000000 of 3000010 bytes"):
        pull(weights(served), tmp_path)
    assert not (tmp_path / "toy.pth").exists()


def test_a_server_that_announces_less_than_there_is_gives_another_file(served: Served, tmp_path: Path) -> None:
    served.extra = -10
    with pytest.raises(ValueError, match="is another file"):
        pull(weights(served), tmp_path)
    assert names(tmp_path) == []


def test_a_part_that_was_not_asked_for_is_not_put_behind_what_is_there(served: Served, tmp_path: Path) -> None:
    (tmp_path / ".toy.pth.part").write_bytes(CONTENT[:1000])
    served.shift = 7
    with pytest.raises(UserError, match="another part"):
        pull(weights(served), tmp_path)
    assert names(tmp_path) == []


@pytest.mark.parametrize(("status", "words"), [(404, "404 Not Found"), (403, "403 Forbidden"), (503, "503")])
def test_what_the_server_answers_is_told_in_one_line(served: Served, tmp_path: Path, status: int, words: str) -> None:
    served.status = status
    with pytest.raises(UserError, match=words) as caught:
        pull(weights(served), tmp_path)
    assert "\n" not in str(caught.value)
    assert names(tmp_path) == []


def test_without_a_network_the_place_and_the_folder_are_named(tmp_path: Path) -> None:
    gone = Weights("toy", ("toy.pth",), "http://127.0.0.1:9/toy.pth", digests=(("toy.pth", md5(CONTENT)),))
    with pytest.raises(UserError, match=r"http://127\.0\.0\.1:9/toy\.pth: .*Connection refused.*by hand") as caught:
        pull(gone, tmp_path)
    assert str(tmp_path) in str(caught.value)
    unknown = replace(gone, place="https://nobody.invalid/toy.pth")
    with pytest.raises(UserError, match=r"nobody\.invalid"):
        pull(unknown, tmp_path)


def test_a_disk_without_room_is_told_before_the_first_byte(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taggers.pull.shutil.disk_usage", lambda folder: Free())
    with pytest.raises(RunStopped, match=r"0\.00 GB are to be fetched, 0\.00 GB are free; make room"):
        pull(weights(served), tmp_path)
    assert names(tmp_path) == []


@dataclass
class Free:
    free: int = 2_999_999


def test_a_disk_that_is_full_on_the_way_stops(served: Served, tmp_path: Path) -> None:
    (tmp_path / ".toy.pth.part").symlink_to("/dev/full")
    with pytest.raises(RunStopped, match="No space left on device"):
        pull(weights(served), tmp_path)
    assert not (tmp_path / "toy.pth").exists()


def test_a_folder_that_cannot_be_made_stops(served: Served, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunStopped, match="cannot be written"):
        pull(weights(served), tmp_path / "file" / "toy")


@pytest.mark.parametrize(
    "change", [{"place": "ftp://host/toy.pth"}, {"place": ""}, {"files": ("a", "b")}, {"digests": ()}]
)
def test_a_place_that_is_not_understood_is_an_error_of_the_model(
    served: Served, tmp_path: Path, change: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match="is neither hub:<owner>/<repository> nor one file of a stated digest"):
        pull(replace(weights(served), **change), tmp_path)
    assert served.asked == []


def test_gits_name_of_a_file_is_the_one_that_git_gives(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    name = subprocess.run(["git", "hash-object", path], capture_output=True, text=True, check=True).stdout.strip()
    assert wrong(path, [f"git:{name}", sha256(CONTENT)]) is None
    assert wrong(path, [sha256(CONTENT), f"git:{'0' * 40}"]) == f"its git is {name}, stated is {'0' * 40}"
    path.write_bytes(b"")  # git's name of nothing is well known
    assert wrong(path, ["git:e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"]) is None


CONFIG = b'{"model": "toy"}\n'
HUB = {"config.json": CONFIG, "parts/model.safetensors": CONTENT}
LISTED = [
    {
        "type": "file",
        "path": "config.json",
        "size": len(CONFIG),
        "oid": hashlib.sha1(b"blob %d\0" % len(CONFIG) + CONFIG).hexdigest(),
    },
    {
        "type": "file",
        "path": "parts/model.safetensors",
        "size": len(CONTENT),
        "oid": "0" * 40,
        "lfs": {"size": len(CONTENT), "oid": hashlib.sha256(CONTENT).hexdigest(), "pointerSize": 134},
    },
]

# One process for all: importing the client takes seconds. It reads its environment when it is imported.
HUB_CODE = """
import json, sys
from pathlib import Path
from schemas.errors import UserError
from taggers.pull import pull
from taggers.weights import Weights
for line in sys.stdin:
    case = json.loads(line)
    weights = Weights("toy", tuple(case["files"]), "hub:owner/toy", case["revision"], "", tuple(map(tuple, case["digests"])))
    try:
        out = [str(path) for path in pull(weights, Path(case["folder"]))]
    except (UserError, ValueError) as error:
        out = f"{type(error).__name__}: {error}"
    print(json.dumps(out), flush=True)
"""


class Client:
    """A process that pulls from a hub at an address of ours."""

    def __init__(self, address: str, home: Path) -> None:
        quiet = {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
        environment = {"HF_ENDPOINT": address, "HOME": str(home), "no_proxy": "*", **quiet}
        self._process = subprocess.Popen(
            [sys.executable, "-c", HUB_CODE],
            cwd=REPO,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def pull(self, folder: Path, files: tuple[str, ...] = tuple(HUB), digests: tuple[tuple[str, str], ...] = ()) -> Any:
        assert self._process.stdin
        assert self._process.stdout
        case = {"folder": str(folder), "files": files, "digests": digests, "revision": COMMIT}
        self._process.stdin.write(json.dumps(case) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()


def test_from_the_hub_come_the_named_files_of_the_pinned_revision_whole_and_right_or_not(
    served: Served, tmp_path: Path
) -> None:
    served.files = dict(HUB) | {"README.md": b"not named"}
    home, folder = tmp_path / "home", tmp_path / "toy"
    home.mkdir()
    client = Client(served.address, home)
    paths = [str(folder / file) for file in HUB]
    pinned = (("parts/model.safetensors", sha256(CONTENT)),)

    assert client.pull(folder, digests=pinned) == paths
    assert {file: (folder / file).read_bytes() for file in HUB} == HUB
    assert names(folder) == ["config.json", "model.safetensors", "parts"]  # and nothing of the client's own
    assert served.asked[0] == ("POST", f"/api/models/owner/toy/paths-info/{COMMIT}", None)
    assert {path for _, path, _ in served.asked[1:]} == {f"/owner/toy/resolve/{COMMIT}/{file}" for file in HUB}

    served.asked.clear()
    assert client.pull(folder) == paths
    assert [method for method, _, _ in served.asked] == ["POST"]  # all is there and right

    (folder / "config.json").write_bytes(b"{}")  # spoiled here: fetched anew
    assert client.pull(folder) == paths
    assert (folder / "config.json").read_bytes() == CONFIG

    for file in HUB:  # spoiled there, at the same length: small ones are told by git's name, large ones by their sha256
        (folder / file).unlink()
        served.files[file] = HUB[file].replace(HUB[file][:4], b"SPAM", 1)
        found = client.pull(folder)
        assert found.startswith(f"ValueError: {Path(file).name}: what came from owner/toy is another file: its ")
        assert not (folder / file).exists()
        assert ".pull" not in names(folder)
        served.files[file] = HUB[file]
        assert client.pull(folder) == paths

    pinned = (("parts/model.safetensors", sha256(OTHER)),)
    served.asked.clear()
    assert "it was not fetched" in client.pull(folder, digests=pinned)
    assert [method for method, _, _ in served.asked] == ["POST"]
    assert "has no gone.bin at revision 0123" in client.pull(folder, (*HUB, "gone.bin"))

    (folder / "config.json").unlink()
    served.files.pop("config.json")
    found = client.pull(folder)
    assert found.startswith("UserError: config.json of owner/toy on the hub: cannot be fetched")
    served.status = 401
    assert "UserError: owner/toy on the hub: cannot be fetched (" in client.pull(folder)
    assert names(folder) == ["model.safetensors", "parts"]
    client.close()


def test_without_the_hub_one_line_says_so(tmp_path: Path) -> None:
    client = Client("http://127.0.0.1:9", tmp_path)
    found = client.pull(tmp_path / "toy")
    client.close()
    assert found.startswith("UserError: owner/toy on the hub: cannot be fetched (")
    assert "Connection refused" in found
    assert "by hand" in found
    assert "\n" not in found
