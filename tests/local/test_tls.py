"""A Temporal behind TLS: who is trusted, who has to show a certificate, what a key is sent over.

The embedded server speaks no TLS, so a proxy ends it in front of a real one.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import ipaddress
import shutil
import ssl
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from temporalio.testing import WorkflowEnvironment

from crp import connection
from crp.client import connect_to
from crp.config import Settings, load_settings
from crp.errors import ConfigError, EngineError

pytestmark = pytest.mark.slow

API_KEY = "tmprl-planted-4242"


class Authority:
    """Signs certificates and writes them, with their keys, as PEM files."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._sign(name, self.key.public_key(), ca=True)
        self.file = self._write(f"{name}.pem", self.certificate.public_bytes(_PEM))

    def issue(self, name: str, *hosts: str) -> tuple[Path, Path]:
        """Give the files of a certificate and of its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._sign(name, key.public_key(), *hosts)
        secret = key.private_bytes(
            _PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return (
            self._write(f"{self.name}-{name}.pem", certificate.public_bytes(_PEM)),
            self._write(f"{self.name}-{name}.key", secret),
        )

    def _sign(self, name: str, public: Any, *hosts: str, ca: bool = False) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(_named(name))
            .issuer_name(_named(self.name))
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if hosts:
            names = x509.SubjectAlternativeName([_host(host) for host in hosts])
            builder = builder.add_extension(names, critical=False)
        return builder.sign(self.key, hashes.SHA256())

    def _write(self, name: str, data: bytes) -> Path:
        path = self.folder / name
        path.write_bytes(data)
        return path


_PEM = serialization.Encoding.PEM


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _host(host: str) -> x509.GeneralName:
    with contextlib.suppress(ValueError):
        return x509.IPAddress(ipaddress.ip_address(host))
    return x509.DNSName(host)


@dataclass
class Proxy:
    """Ends TLS and passes on what is inside."""

    behind: tuple[str, int]
    seen: bytearray = field(default_factory=bytearray)
    """What clients said, decrypted."""
    refused: int = 0

    @contextlib.asynccontextmanager
    async def serving(
        self, certificate: tuple[Path, Path], clients: Path | None = None
    ) -> AsyncIterator[str]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        context.set_alpn_protocols(["h2"])
        if clients is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(clients)
        server = await asyncio.start_server(self._pass_on, "127.0.0.1", 0, ssl=context)
        async with server:
            yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection(*self.behind)
        with contextlib.suppress(OSError):
            await asyncio.gather(
                _copy(reader, inner_writer, self.seen), _copy(inner_reader, writer, bytearray())
            )


async def _copy(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: bytearray
) -> None:
    try:
        while data := await reader.read(65536):
            seen += data
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    here = str(Path(sys.executable).parent)
    binary = shutil.which("temporal", path=here) or shutil.which("temporal")
    async with await WorkflowEnvironment.start_local(
        dev_server_existing_path=binary
    ) as environment:
        host, _, port = environment.client.service_client.config.target_host.rpartition(":")
        yield Proxy((host, int(port)))


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "ours")


Make = Callable[..., Settings]


@pytest.fixture
def remote(tmp_path: Path) -> Make:
    def make(address: str, **temporal: Any) -> Settings:
        texts = {k: str(v) if isinstance(v, Path) else v for k, v in temporal.items()}
        return load_settings(tmp_path / "home", temporal={"address": address, **texts})

    return make


async def connects(settings: Settings) -> bool:
    client = await connect_to(settings, settings.temporal.address)
    return await client.service_client.check_health()


async def refusal(settings: Settings) -> str:
    with pytest.raises(EngineError) as caught:
        await connect_to(settings, settings.temporal.address)
    message = str(caught.value)
    assert "\n" not in message
    assert settings.temporal.address in message
    return message


async def test_a_server_whose_signer_we_trust_is_used(
    proxy: Proxy, authority: Authority, remote: Make
) -> None:
    async with proxy.serving(authority.issue("server", "127.0.0.1")) as address:
        assert await connects(remote(address, tls_ca_file=authority.file))
    assert b"PRI * HTTP/2.0" in proxy.seen


async def test_a_server_that_somebody_else_signed_is_refused(
    proxy: Proxy, authority: Authority, remote: Make, tmp_path: Path
) -> None:
    other = Authority(tmp_path, "theirs")
    async with proxy.serving(authority.issue("server", "127.0.0.1")) as address:
        for trust in ({"tls_ca_file": other.file}, {"tls": True}):
            assert "temporal.tls_ca_file" in await refusal(remote(address, **trust))
    assert not proxy.seen


async def test_a_certificate_of_another_name_is_refused_unless_the_settings_name_it(
    proxy: Proxy, authority: Authority, remote: Make
) -> None:
    async with proxy.serving(authority.issue("server", "temporal.example")) as address:
        said = await refusal(remote(address, tls_ca_file=authority.file))
        assert "temporal.tls_server_name" in said
        named = {"tls_ca_file": authority.file, "tls_server_name": "temporal.example"}
        assert await connects(remote(address, **named))


async def test_a_server_that_asks_for_our_certificate_gets_it_or_refuses(
    proxy: Proxy, authority: Authority, remote: Make, tmp_path: Path
) -> None:
    other = Authority(tmp_path, "theirs")
    server = authority.issue("server", "127.0.0.1")
    async with proxy.serving(server, clients=authority.file) as address:
        trusted = {"tls_ca_file": authority.file}
        assert "temporal.tls_cert_file" in await refusal(remote(address, **trusted))
        certificate, key = other.issue("client")
        assert await refusal(
            remote(address, **trusted, tls_cert_file=certificate, tls_key_file=key)
        )
        assert not proxy.seen
        certificate, key = authority.issue("client")
        assert await connects(
            remote(address, **trusted, tls_cert_file=certificate, tls_key_file=key)
        )


@pytest.mark.parametrize("source", ["api_key_env", "api_key_file"])
async def test_an_api_key_goes_over_tls_only(
    proxy: Proxy,
    authority: Authority,
    remote: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    source: str,
) -> None:
    monkeypatch.setenv("THE_KEY", API_KEY)
    (tmp_path / "key").write_text(f"{API_KEY}\n")
    given = {source: "THE_KEY" if source == "api_key_env" else str(tmp_path / "key")}
    settings = remote("127.0.0.1:1", **given)
    assert connection.arguments(settings.temporal)["api_key"] == API_KEY
    async with proxy.serving(authority.issue("server", "127.0.0.1")) as address:
        assert API_KEY not in await refusal(remote(address, **given))  # nobody we trust
        assert await connects(remote(address, **given, tls_ca_file=authority.file))
    plain = f"127.0.0.1:{proxy.behind[1]}"
    said = await refusal(remote(plain, **given))
    assert "does not speak TLS" in said
    assert API_KEY not in said


async def test_a_profile_of_temporals_own_is_honoured(
    proxy: Proxy, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = authority.issue("server", "127.0.0.1")
    certificate, key = authority.issue("client")
    file = tmp_path / "temporal.toml"
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", str(file))
    async with proxy.serving(server, clients=authority.file) as address:
        file.write_text(
            f'[profile.work]\naddress = "{address}"\nnamespace = "default"\n[profile.work.tls]\n'
            f'server_ca_cert_path = "{authority.file}"\n'
            f'client_cert_path = "{certificate}"\nclient_key_path = "{key}"\n'
        )
        settings = load_settings(tmp_path / "home", temporal={"profile": "work"})
        assert settings.temporal.address == address
        assert await connects(settings)


# -- settings that can not work -------------------------------------------------------------------


def test_what_our_settings_say_wins_over_the_profile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "temporal.toml"
    file.write_text('[profile.work]\naddress = "a:1"\nnamespace = "theirs"\napi_key = "k"\n')
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", str(file))
    given = {"profile": "work", "address": "b:2", "namespace": "ours"}
    settings = load_settings(tmp_path / "home", temporal=given)
    assert (settings.temporal.address, settings.temporal.namespace) == ("b:2", "ours")
    arguments = connection.arguments(settings.temporal)
    assert arguments == {"namespace": "ours", "api_key": "k", "tls": True}
    bare = load_settings(tmp_path / "home", temporal={"profile": "work"})
    assert (bare.temporal.address, bare.temporal.namespace) == ("a:1", "theirs")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"profile": "nowhere"}, "not found"),
        ({"address": "a:1", "tls_cert_file": "x"}, "belong together"),
        ({"address": "a:1", "api_key_env": "A", "api_key_file": "b"}, "give one of"),
        ({"tls": True}, "set temporal.address"),
        ({"api_key_env": "A"}, "set temporal.address"),
    ],
)
def test_settings_that_can_not_work_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], said: str
) -> None:
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", str(tmp_path / "none.toml"))
    with pytest.raises(ConfigError, match=said) as caught:
        load_settings(tmp_path / "home", temporal=given)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "content", "said"),
    [
        ({"tls_ca_file": "file"}, None, "can not be read"),
        ({"tls_ca_file": "file"}, "hello", "is not a PEM file"),
        ({"api_key_file": "file"}, None, "can not be read"),
        ({"api_key_file": "file"}, "", "is not a key"),
        ({"api_key_file": "file"}, "two\nlines", "is not a key"),
        ({"api_key_env": "NO_SUCH_VARIABLE"}, None, "is not set"),
    ],
)
async def test_files_and_variables_that_can_not_be_used_are_named(
    remote: Make, tmp_path: Path, given: dict[str, str], content: str | None, said: str
) -> None:
    file = tmp_path / "file"
    if content is not None:
        file.write_text(content)
    paths = {k: str(file) if v == "file" else v for k, v in given.items()}
    with pytest.raises(ConfigError, match=said) as caught:
        await connect_to(remote("127.0.0.1:1", **paths), "127.0.0.1:1")
    assert next(iter(given)) in str(caught.value)
