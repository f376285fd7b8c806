"""`crp codec`: keys for what Temporal keeps, and a server that shows it decrypted."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crp.cli.options import Home, Json, group
from crp.cli.terminal import out, print_json, print_table, say

if TYPE_CHECKING:
    from crp.codec_server import CodecServer
    from crp.config import Settings

app = group("Encrypt what Temporal keeps: make keys, look at them, show payloads decrypted.")


@app.command("new-key")
def new_key(
    file: Annotated[
        Path | None, typer.Option("--file", help="Put it into this file; made if it is not there.")
    ] = None,
    standby: Annotated[
        bool,
        typer.Option("--standby", help="Only decrypt with it, until its line is moved up."),
    ] = False,
) -> None:
    """Make a key. In a file it is the first one, which encrypts; those behind it still decrypt.

    Without --file the key is printed, for a variable or a secret store: whoever has it can read
    everything.

    \b
    Examples:
      crp codec new-key --file ~/crp-keys
      crp codec new-key --file ~/crp-keys --standby
      export CRP_KEYS=$(crp codec new-key) CRP_ENCRYPTION__KEYS_ENV=CRP_KEYS
    """
    from crp import encryption
    from crp.errors import UsageError

    if file is not None:
        path = file.expanduser()
        made = encryption.add_key(path, standby=standby)
        say(f"the key {made} {'only decrypts' if standby else 'encrypts'}; in {path}")
        return
    if standby:
        raise UsageError("--standby is about a file: give --file")
    key = encryption.new_key()
    say(f"the key {encryption.parsed(key, 'new key').ids[0]}")
    out(key)


@app.command()
def status(as_json: Json = False, home: Home = None) -> None:
    """Say whether what Temporal keeps is encrypted, and with which keys, by their ids.

    \b
    Examples:
      crp codec status
      crp codec status --json | jq -r '.keys[0].id'
    """
    from crp.config import load_settings
    from crp.encryption import keyring

    settings = load_settings(home)
    ids = keyring(settings).ids
    keys = [{"id": id, "use": "decrypts" if n else "encrypts"} for n, id in enumerate(ids)]
    given = settings.encryption
    if as_json:
        print_json({"encrypted": given.on, **given.model_dump(), "keys": keys})
    elif not given.on:
        out("off: Temporal keeps texts in clear; set encryption.keys_file or encryption.keys_env")
    else:
        out(f"on, with the keys of {given.keys_file or f'the variable {given.keys_env}'}")
        print_table(("key", "use"), [(key["id"], key["use"]) for key in keys])


@app.command()
def serve(
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0: a free one.")] = 8081,
    origin: Annotated[
        list[str] | None,
        typer.Option("--origin", help="A web page that may ask, such as http://localhost:8233."),
    ] = None,
    token_env: Annotated[
        str, typer.Option("--token-env", help="The variable with the token that clients send.")
    ] = "",
    host: Annotated[
        str, typer.Option("--host", help="Where to listen; elsewhere than loopback with a token.")
    ] = "127.0.0.1",
    home: Home = None,
) -> None:
    """Show encrypted payloads in Temporal's web page and command line, until Ctrl-C.

    Give its address as the codec endpoint of the web page, or to `temporal --codec-endpoint`.

    \b
    Examples:
      crp codec serve --origin http://localhost:8233
      CODEC_TOKEN=... crp codec serve --port 8081 --token-env CODEC_TOKEN
      temporal workflow show -w ID --codec-endpoint http://127.0.0.1:8081
    """
    from crp.config import load_settings

    server = _server(load_settings(home), host, port, tuple(origin or ()), token_env)
    say(f"the codec server listens at {server.url}; Ctrl-C ends it")
    with server:
        server.serve_forever()


def _server(
    settings: Settings, host: str, port: int, origins: tuple[str, ...], token_env: str
) -> CodecServer:
    from crp.blobs import BlobStore
    from crp.codec import EncryptionCodec
    from crp.codec_server import Access, CodecServer, is_loopback
    from crp.converter import BlobDriver
    from crp.encryption import keyring
    from crp.errors import ConfigError, UsageError

    keys = keyring(settings)
    if not keys:
        raise ConfigError("there is nothing to decrypt with: set encryption.keys_file")
    token = os.environ.get(token_env, "").strip() if token_env else ""
    if token_env and not token:
        raise UsageError("the variable that --token-env names is not set")
    if not is_loopback(host) and not token:
        raise UsageError("beyond this machine only with a token: give --token-env")
    blobs = BlobDriver(BlobStore(settings.home / "blobs"))
    return CodecServer(EncryptionCodec(keys), blobs, Access(origins, token), host, port)
