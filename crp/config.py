"""Settings: a file, then the environment, then arguments; the later one wins.

The file is `config.toml` in the home directory and `crp.toml` in the working directory (the
nearer one wins). Environment variables begin with CRP_ and use `__` between levels:
`CRP_MODELS__DEFAULT__BASE_URL`. Keys are never settings: a setting names the environment variable
or the file that holds the key.

Nothing here is imported by workflow code.
"""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlsplit

import platformdirs
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from crp.errors import ConfigError
from crp.models import Capability, MetaLearningConfig, ModelProfile
from crp.telemetry.settings import TelemetrySettings

if TYPE_CHECKING:
    from temporalio.envconfig import ClientConfigProfile

CUT_POINTS = (0.5, 2.0, 9.0)
"""Parameters in billions at which capability 1, 2 and 3 begin (spec, section 2)."""

EMBEDDED_MODEL = "smollm2-135m-instruct"


def capability_of(billions: float, cut_points: tuple[float, float, float] = CUT_POINTS) -> int:
    """Derive a capability of 0 to 3 from a parameter count in billions."""
    if not billions > 0:
        raise ConfigError(f"a model can not have {billions:g} billion parameters")
    return sum(billions >= point for point in cut_points)


def _variable(name: str) -> str:
    # Who mistakes it for the key itself must not find the key in an error or a history.
    if name and not re.fullmatch(r"[A-Za-z_]\w{0,99}", name, re.ASCII):
        raise ValueError("this is not the name of an environment variable")
    return name


def _absolute(path: str) -> str:
    # The processes of the engine run in another directory.
    return str(Path(path).expanduser().absolute()) if path else ""


Variable = Annotated[str, AfterValidator(_variable)]
"""The name of an environment variable, never what it holds."""
File = Annotated[str, AfterValidator(_absolute)]


class ModelSettings(BaseModel):
    """One model alias."""

    model_config = ConfigDict(extra="forbid")

    provider: Literal["embedded", "openai"] = "openai"
    name: str = ""
    base_url: str = ""
    """Up to and without `/chat/completions`, such as http://127.0.0.1:11434/v1."""
    api_key_env: Variable = ""
    api_key_file: File = ""
    capability: Capability | None = None
    parameters: float | None = Field(default=None, gt=0)
    """In billions; the capability is derived from it when it is not given."""
    context_window: int = Field(default=8192, ge=256)
    concurrency: int = Field(default=4, ge=1, le=256)
    """Calls under way at once, of all workers of a home together."""
    requests_per_minute: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Calls that all workers together begin; Temporal keeps it. None: no limit."""
    timeout: float = Field(default=600.0, gt=0, le=7 * 86_400)
    temperature: float = Field(default=0.0, ge=0, le=2)
    max_tokens: int = Field(default=512, ge=1)
    structured: bool = True
    repeat_penalty: float | None = Field(default=None, allow_inf_nan=False)
    input_price: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    output_price: float = Field(default=0.0, ge=0, allow_inf_nan=False)

    @field_validator("base_url")
    @classmethod
    def _without_secrets(cls, base_url: str) -> str:
        # It is frozen into every job, and so into histories and traces.
        parts = urlsplit(base_url)
        if "@" in parts.netloc or parts.query or parts.fragment:
            raise ValueError("a key or password does not belong here: name it by api_key_env")
        return base_url

    def over_embedded(self) -> ModelSettings:
        """Settings that name no server of their own change the embedded model's."""
        if self.base_url or "provider" in self.model_fields_set:
            return self
        return EMBEDDED.model_copy(update=self.model_dump(exclude_unset=True))

    def profile(self, alias: str, cut_points: tuple[float, float, float]) -> ModelProfile:
        capability = self.capability
        if capability is None:
            capability = capability_of(self.parameters, cut_points) if self.parameters else 1
        return ModelProfile(
            alias=alias,
            capability=capability,
            **self.model_dump(exclude=_NOT_IN_JOBS),
        )


_NOT_IN_JOBS = {
    "capability",
    "parameters",
    "api_key_env",
    "api_key_file",
    "requests_per_minute",
}
"""What decides nothing in a job, or is said otherwise there."""

EMBEDDED = ModelSettings(
    provider="embedded",
    name=EMBEDDED_MODEL,
    capability=0,
    context_window=4096,
    concurrency=4,
    max_tokens=300,
    repeat_penalty=1.1,
)


EMBEDDED_REASONING: dict[str, Any] = {
    "orc_min_model_capability": 0,
    "scaffold_level": "none",
    "icml_max_examples": 0,
}
"""Where the embedded model wants other decisions than the defaults."""


class TemporalSettings(BaseModel):
    """Which Temporal to use. No address: the embedded server."""

    model_config = ConfigDict(extra="forbid")

    address: str = ""
    namespace: str = "default"
    profile: str = ""
    """A profile of Temporal's own configuration file; what stands here wins over it."""
    api_key_env: Variable = ""
    api_key_file: File = ""
    tls: bool = False
    """Encrypt the connection; any of the files below, and an API key, do so too."""
    tls_ca_file: File = ""
    """Who may have signed the server's certificate; empty: those that the machine trusts."""
    tls_cert_file: File = ""
    """Our own certificate and its key, for a server that asks for them (mTLS)."""
    tls_key_file: File = ""
    tls_server_name: str = ""
    """The name in the server's certificate, where it is not the address."""

    @model_validator(mode="after")
    def _fits(self) -> TemporalSettings:
        if self.api_key_env and self.api_key_file:
            raise ValueError("give one of api_key_env and api_key_file")
        if bool(self.tls_cert_file) != bool(self.tls_key_file):
            raise ValueError("tls_cert_file and tls_key_file belong together")
        remote = (self.tls, self.tls_ca_file, self.tls_cert_file, self.tls_server_name)
        if not (self.address or self.profile) and any((*remote, *self._key_settings)):
            raise ValueError("TLS and keys are for a Temporal of your own: set temporal.address")
        return self

    @property
    def _key_settings(self) -> tuple[str, str]:
        return self.api_key_env, self.api_key_file


class EncryptionSettings(BaseModel):
    """Where the keys are that encrypt what Temporal keeps. Neither: it is kept in clear."""

    model_config = ConfigDict(extra="forbid")

    keys_file: File = ""
    keys_env: Variable = ""

    @property
    def on(self) -> bool:
        return bool(self.keys_file or self.keys_env)

    @model_validator(mode="after")
    def _one(self) -> EncryptionSettings:
        if self.keys_file and self.keys_env:
            raise ValueError("give one of keys_file and keys_env")
        return self


class EmbeddedSettings(BaseModel):
    """The engine that this machine runs by itself."""

    model_config = ConfigDict(extra="forbid")

    port: int = Field(default=0, ge=0, le=65535)
    """Of the Temporal server, on loopback; 0 takes a free one and keeps it."""
    model_port: int = Field(default=0, ge=0, le=65535)
    ui: bool = False
    ui_port: int = Field(default=0, ge=0, le=65535)
    temporal: str = ""
    """A `temporal` binary of your own; empty: the one in this environment, then PATH."""
    retention_days: int = Field(default=30, ge=1)
    idle_minutes: float = Field(default=15.0, gt=0)
    """An engine that `crp run` started by itself stops after so long without a job or a client."""
    min_free_mb: int = Field(default=200, ge=0)
    model_threads: int = Field(default=0, ge=0)
    """0: one less than there are cores."""


class Settings(BaseSettings):
    """Everything that can be set, with its default."""

    model_config = SettingsConfigDict(
        env_prefix="CRP_",
        env_nested_delimiter="__",
        extra="forbid",
        nested_model_default_partial_update=True,
    )

    home: Path = Field(default_factory=lambda: Path(platformdirs.user_data_dir("crp")))
    """Where the embedded engine keeps everything: one engine per home."""
    cache: Path = Field(default_factory=lambda: Path(platformdirs.user_cache_dir("crp")))
    """Where model files are kept; may be shared by many homes."""
    temporal: TemporalSettings = TemporalSettings()
    encryption: EncryptionSettings = EncryptionSettings()
    embedded: EmbeddedSettings = EmbeddedSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    models: dict[str, ModelSettings] = Field(default_factory=dict)
    cut_points: tuple[float, float, float] = CUT_POINTS
    reasoning: dict[str, Any] = Field(default_factory=dict)
    """Fields of MetaLearningConfig that differ from its defaults."""
    templates: tuple[Path, ...] = ()
    """More folders with templates, searched before the user's and the box's."""
    pressure: dict[str, float] = Field(default_factory=dict)
    """Thresholds of the pressure sample that differ from the defaults."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        home = Path(init_settings()["home"])
        files = (Path.cwd() / "crp.toml", home / "config.toml")
        return (
            init_settings,
            env_settings,
            *(TomlConfigSettingsSource(settings_cls, toml_file=file) for file in files),
        )

    @field_validator("models")
    @classmethod
    def _complete(cls, models: dict[str, ModelSettings]) -> dict[str, ModelSettings]:
        """Settings of `default` that name no server change the embedded model's."""
        default = models.get("default")
        return {**models, "default": default.over_embedded()} if default else models

    def model(self, alias: str) -> ModelSettings:
        """The settings of an alias; `default` is the embedded model unless configured."""
        return self.models.get(alias) or self.models.get("default") or EMBEDDED

    def profiles(self) -> dict[str, ModelProfile]:
        """All configured aliases as a job sees them; `default` is always there."""
        models = {"default": EMBEDDED, **self.models}
        return {alias: m.profile(alias, self.cut_points) for alias, m in models.items()}

    def paces(self) -> dict[str, float]:
        """Calls a second of the models that have a limit, by alias."""
        limits = {alias: model.requests_per_minute for alias, model in self.models.items()}
        return {alias: limit / 60 for alias, limit in limits.items() if limit is not None}

    def config(self, profile: ModelProfile) -> MetaLearningConfig:
        """The engine's decisions for jobs with this default model.

        The embedded model is below the usual capability floor and still gains from ORC, it
        echoes heavy scaffolds, and it copies examples instead of learning from them (all
        measured): EMBEDDED_REASONING, unless the settings differ.
        """
        ours = EMBEDDED_REASONING if profile.provider == "embedded" else {}
        try:
            return MetaLearningConfig(**{**ours, **self.reasoning})
        except ValidationError as error:
            raise ConfigError(_explain(error, "reasoning")) from None


def load_settings(home: str | Path | None = None, **overrides: Any) -> Settings:
    """Read the settings: files < environment < `overrides`.

    Raises ConfigError with one line that names the setting and what is wrong with it.
    """
    base = Path(home or os.environ.get("CRP_HOME") or platformdirs.user_data_dir("crp"))
    try:
        return _with_profile(Settings(home=base.expanduser().absolute(), **overrides))
    except ValidationError as error:
        raise ConfigError(_explain(error)) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"config.toml or crp.toml is not valid TOML: {error}") from None
    except SettingsError as error:
        raise ConfigError(str(error)) from None


def _with_profile(settings: Settings) -> Settings:
    """Take address and namespace from Temporal's profile, where our settings give none."""
    given = settings.temporal
    if not given.profile:
        return settings
    found = temporal_profile(given.profile)
    ours = given.namespace if given.namespace != "default" else ""
    where = {
        "address": given.address or found.address or "localhost:7233",
        "namespace": ours or found.namespace or "default",
    }
    return settings.model_copy(update={"temporal": given.model_copy(update=where)})


def temporal_profile(name: str) -> ClientConfigProfile:
    """Read a profile of Temporal's own configuration, its file and its variables.

    Raises ConfigError.
    """
    from temporalio.envconfig import ClientConfigProfile

    try:
        return ClientConfigProfile.load(name)
    except (RuntimeError, ValueError) as error:
        # Only the first line: the next ones show the file, which may hold a key.
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ConfigError(f"setting temporal.profile: {name!r}: {reason}") from None


def _explain(error: ValidationError, under: str = "") -> str:
    first = error.errors()[0]
    name = ".".join(str(part) for part in (under, *first["loc"]) if part != "")
    what = f"setting {name}: {first['msg'][0].lower()}{first['msg'][1:]}"
    if name.rpartition(".")[2] == "api_key":
        return f"{what}: name the variable that holds it as api_key_env"
    # What no setting is may be anything, a key too: it is not shown.
    # Nor what one of our own checks refused: it may have been refused for holding a password.
    hidden = first["type"] in ("extra_forbidden", "value_error")
    return what if hidden else f"{what} (got {first.get('input')!r})"
