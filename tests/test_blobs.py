"""The blob store: what it has returned is there, whole, once."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from crp import blobs as blob_module
from crp.blobs import BlobStore
from crp.errors import NotFound, StoreError, StoreUnavailable

ROOT = Path(__file__).parent.parent


def files(directory: Path) -> list[Path]:
    return sorted(path for path in directory.rglob("*") if path.is_file())


def test_bytes_come_back_by_their_hash(tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path / "made" / "when needed")
    for data in (b"", b"one", os.urandom(3_000_000)):
        sha256 = blobs.put(data)
        assert sha256 == hashlib.sha256(data).hexdigest()
        assert blobs.get(sha256) == data
        assert sha256 in blobs


def test_equal_bytes_lie_there_once_and_are_not_written_again(tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path)
    blobs.put(b"the same")
    [path] = files(tmp_path)
    before = path.stat()
    assert path.relative_to(tmp_path).parts == (path.name[:2], path.name)
    BlobStore(tmp_path).put(b"the same")
    assert files(tmp_path) == [path]
    assert path.stat().st_ino == before.st_ino


def test_texts_keep_half_surrogate_pairs(tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path)
    text = "naïve 🦉 \ud83d \x00"
    assert blobs.get_text(blobs.put_text(text)) == text


def test_what_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no blob"):
        BlobStore(tmp_path).get("0" * 64)


@pytest.mark.parametrize("reference", ["", "../../etc/passwd", "A" * 64, "0" * 63, "0" * 64 + "\n"])
def test_only_a_hash_becomes_a_path(tmp_path: Path, reference: str) -> None:
    blobs = BlobStore(tmp_path)
    with pytest.raises(NotFound, match="is not a sha256"):
        blobs.get(reference)
    assert reference not in blobs


def test_a_damaged_blob_is_noticed_and_a_short_one_healed_by_the_next_put(tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path)
    sha256 = blobs.put(b"precious")
    [path] = files(tmp_path)
    path.write_bytes(b"preciouX")
    with pytest.raises(StoreError, match="is damaged"):
        blobs.get(sha256)
    path.write_bytes(b"prec")
    blobs.put(b"precious")
    assert blobs.get(sha256) == b"precious"


def test_many_threads_may_put_the_same_and_different_things(tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path)
    datas = [b"%d" % (number % 10) * 1000 for number in range(200)]
    with ThreadPoolExecutor(8) as pool:
        names = list(pool.map(blobs.put, datas))
    assert [blobs.get(name) for name in names] == datas
    assert len(files(tmp_path)) == 10


def _put_some(directory: Path) -> None:
    blobs = BlobStore(directory)
    for number in range(20):
        blobs.put(b"%d" % number * 5000)


def test_several_processes_may_share_a_directory(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_put_some, args=(tmp_path,)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    blobs = BlobStore(tmp_path)
    assert len([blobs.get(path.name) for path in files(tmp_path)]) == 20


def test_a_full_disk_is_one_clear_line_and_leaves_nothing_behind(tmp_path: Path) -> None:
    # A limit on the size of files breaks a write in the middle, as a full disk does.
    program = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from crp.blobs import BlobStore\n"
        "from crp.errors import StoreUnavailable\n"
        "blobs = BlobStore(Path(sys.argv[1]))\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))\n"
        "try:\n"
        "    blobs.put(b'x' * 100_000)\n"
        "except StoreUnavailable as error:\n"
        "    print(error)\n"
        "    print(blobs.put(b'small enough') in blobs)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
        cwd=ROOT,
    )
    assert done.stdout == f"can not write to {tmp_path}: File too large\nTrue\n"
    assert [path.read_bytes() for path in files(tmp_path)] == [b"small enough"]


def test_a_directory_that_can_not_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreUnavailable, match="can not use"):
        BlobStore(tmp_path / "file" / "blobs")


def test_after_a_kill_in_the_middle_of_puts_every_file_is_whole(tmp_path: Path) -> None:
    program = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from crp.blobs import BlobStore\n"
        "blobs = BlobStore(Path(sys.argv[1]))\n"
        "while True:\n"
        "    print(blobs.put(os.urandom(500_000)), flush=True)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert process.stdout is not None
    returned = [process.stdout.readline().strip() for _ in range(3)]
    process.send_signal(signal.SIGKILL)
    returned += [line.strip() for line in process.stdout if len(line) == 65]
    process.wait()
    process.stdout.close()
    blobs = BlobStore(tmp_path)
    for sha256 in returned:
        assert len(blobs.get(sha256)) == 500_000
    named = [path for path in files(tmp_path) if path.parent.name != "unfinished"]
    assert all(blobs.get(path.name) for path in named)


def test_what_a_killed_process_left_is_swept_away_after_an_hour(tmp_path: Path) -> None:
    BlobStore(tmp_path)
    old, new = (tmp_path / "unfinished" / name for name in ("unfinished-old", "unfinished-new"))
    for file in (old, new):
        file.write_bytes(b"half")
    os.utime(old, (time.time() - 7200,) * 2)
    BlobStore(tmp_path)
    assert files(tmp_path) == [new]


# -- owners --------------------------------------------------------------------------------------


def test_letting_go_deletes_what_nobody_else_put(tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path)
    mine, ours = blobs.put(b"mine", owner="job/1"), blobs.put(b"ours", owner="job/1")
    assert blobs.put(b"ours", owner="job 2") == ours
    free = blobs.put(b"nobody's")
    assert blobs.let_go("job/1") == 1
    assert (mine in blobs, ours in blobs, free in blobs) == (False, True, True)
    assert blobs.let_go("job/1") == 0
    assert blobs.let_go("job 2") == 1
    assert ours not in blobs


def test_owners_are_known_by_name_when_nothing_was_put_for_them_for_long(tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path)
    for owner in ("old/job \ud800", "young"):
        blobs.put(b"one", owner)
        blobs.put(b"two", owner)
    for path in (tmp_path / "owners").glob("*/*"):
        if b"old" in path.read_bytes():
            os.utime(path, (0, 0))
    assert blobs.owners(1) == ["old/job \ud800"]
    assert blobs.let_go(*blobs.owners(1), "young") == 2


@pytest.mark.parametrize("after", [0, 1])
def test_what_is_put_while_another_owner_lets_go_is_there(
    tmp_path: Path, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Put when the lists were read, before or after the blob was taken away."""
    blobs, reads = BlobStore(tmp_path), []
    shared = blobs.put(b"shared", owner="leaving")
    listed = blobs._listed

    def read_and_be_late() -> set[str]:
        found = listed()
        if len(reads) == 0 and after == 0:
            BlobStore(tmp_path).put(b"shared", owner="late")
        reads.append(found)
        return found

    def moved(path: Path, to: Path) -> bool:
        done = move(path, to)
        if len(reads) == 1 and after == 1:
            BlobStore(tmp_path).put(b"shared", owner="late")
        return done

    move = blob_module._moved
    monkeypatch.setattr(blobs, "_listed", read_and_be_late)
    monkeypatch.setattr(blob_module, "_moved", moved)
    assert blobs.let_go("leaving") == 0
    assert blobs.get(shared) == b"shared"
    assert not [*(tmp_path / "unfinished").iterdir()]
