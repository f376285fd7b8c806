"""The keys that encrypt what Temporal keeps, and where they come from.

A keyring is a file or a variable with one key a line: the base64 of 32 random bytes, as
`crp codec new-key` or `openssl rand -base64 32` make it. The first key encrypts, all decrypt. A key
is known by its id, which is made from the key itself: an id can not be given to the wrong key.

Reads the file or the variable that the settings name, and writes the file of `new-key`. No key is
ever part of an error or a repr.
"""

from __future__ import annotations

import base64
import binascii
import os
import secrets
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from crp.config import Settings
from crp.errors import ConfigError, KeyMissing

if TYPE_CHECKING:
    from crp.sealing import Key

KEY_BYTES = 32
HOW = "`crp codec new-key` makes one"


class Keyring:
    """Keys by id, the first one to encrypt with; empty where nothing is encrypted."""

    def __init__(self, keys: Iterable[Key] = ()) -> None:
        self._keys = {key.id: key for key in keys}

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(self._keys)

    @property
    def first(self) -> Key | None:
        return next(iter(self._keys.values()), None)

    def __bool__(self) -> bool:
        return bool(self._keys)

    def key(self, id: str) -> Key:
        """Give the key with an id. Raises KeyMissing with the way out."""
        if id in self._keys:
            return self._keys[id]
        have = f"the keys here are {', '.join(self._keys)}" if self else "there is no key here"
        raise KeyMissing(
            f"this was encrypted with the key {id[:64]!r}, and {have}: add that key to the file or "
            "variable of the settings encryption.keys_file or encryption.keys_env, behind the "
            "first one; `crp codec status` shows the ids"
        )


def keyring(settings: Settings) -> Keyring:
    """Read the keys that the settings name; an empty ring where encryption is off.

    Raises ConfigError with the one line that says what is wrong with them.
    """
    given = settings.encryption
    if given.keys_file:
        path = Path(given.keys_file)
        return parsed(read_private(path), f"setting encryption.keys_file: {given.keys_file}")
    if given.keys_env:
        where = f"setting encryption.keys_env: the variable {given.keys_env}"
        text = os.environ.get(given.keys_env, "")
        if not text.strip():
            raise ConfigError(f"{where} is not set; {HOW}")
        return parsed(text.replace(",", "\n"), where)
    return Keyring()


def parsed(text: str, where: str) -> Keyring:
    """Read keys, one a line; `#` begins a comment. Raises ConfigError, never with a key in it."""
    from crp.sealing import Key  # late: most homes have no keys, and the ciphers take 25 ms

    keys = [
        Key(_secret(line, f"{where}, line {number}"))
        for number, line in enumerate(text.splitlines(), 1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    if not keys:
        raise ConfigError(f"{where} holds no key; {HOW}")
    return Keyring(keys)


def _secret(line: str, where: str) -> bytes:
    try:
        secret = base64.b64decode(line.strip(), validate=True)
    except (binascii.Error, ValueError):
        secret = b""
    if len(secret) != KEY_BYTES:
        raise ConfigError(f"{where}: this is not a key (the base64 of 32 bytes); {HOW}")
    return secret


def new_key() -> str:
    """Make a key, as it stands in a file or a variable."""
    return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def read_private(path: Path) -> str:
    """Read a file that nobody else can read. Raises ConfigError, also for one that others can."""
    where = f"setting encryption.keys_file: {path}"
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if os.name != "nt" and stat.S_IMODE(mode) & 0o077:
                raise ConfigError(
                    f"{where} can be read by others (mode {stat.S_IMODE(mode):04o}): "
                    f"chmod 600 {path}"
                )
            return file.read(1_000_000).decode("ascii")
    except UnicodeDecodeError:
        raise ConfigError(f"{where} is not a file with keys; {HOW}") from None
    except OSError as error:
        raise ConfigError(f"{where} can not be read: {error.strerror or error}") from None


def add_key(path: Path, *, standby: bool = False) -> str:
    """Put a new key into a file, which is made when it does not exist, and give the key's id.

    The new key encrypts from now on; with `standby` it only decrypts, until its line is moved up.
    Raises ConfigError.
    """
    old = read_private(path) if path.exists() else ""
    if old.strip():
        parsed(old, f"{path}")  # what is no keyring is not written to
    key = new_key()
    lines = [old.rstrip("\n"), f"{key}"] if standby and old.strip() else [key, old.rstrip("\n")]
    _replace_privately(path, "".join(f"{line}\n" for line in lines if line))
    return parsed(key, "").ids[0]


def _replace_privately(path: Path, text: str) -> None:
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(unfinished, path)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise ConfigError(f"{path} can not be written: {error.strerror or error}") from None
