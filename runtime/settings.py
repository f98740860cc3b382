"""What an operator can set: `TIELINE_…` environment variables, each with a default that works on one machine."""

import difflib
import os
from collections.abc import Mapping
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from auth.public_url import public_url
from definitions.base import Duration
from definitions.wording import message
from net.egress import AllowRule
from runtime.asset_settings import bucket_url, check_assets, server_url
from runtime.notify_settings import check_whole, mail_address, mail_addresses, webhook_secret, webhook_url

PREFIX = "TIELINE_"

COMMAND_LINE = frozenset({"TIELINE_PROFILE", "TIELINE_DEBUG"})
"""Read by the command line itself; no settings of an installation."""


class SettingsError(Exception):
    """A `TIELINE_…` variable cannot be used; the message names each one, never its value."""


def _host_port(value: str) -> str:
    host, _, port = value.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError("expected HOST:PORT, for example 127.0.0.1:8080")
    return value


def _egress_rule(value: str) -> str:
    AllowRule.parse(value)
    return value


def _proxy(value: str) -> str:
    from net.proxy import read_proxy  # loads the HTTP library, which most commands have no use for

    read_proxy(value)
    return value


def _network(value: str) -> str:
    try:
        return str(ip_network(value))
    except ValueError:
        raise ValueError("expected addresses or networks such as 10.0.0.7 or 10.0.0.0/24") from None


def _split(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _absolute(path: Path) -> Path:
    try:
        return path.expanduser().absolute()
    except RuntimeError:  # of a user who is not known, or who has none
        raise ValueError("there is no such home folder: write the whole path") from None


def _default_database(known: dict[str, object]) -> str:
    return f"sqlite+aiosqlite:///{known['data_dir']}/tieline.db"


def _default_key_file(known: dict[str, object]) -> Path:
    return Path(str(known["data_dir"])) / "keys.json"


Network = Annotated[str, AfterValidator(_network)]
HostPort = Annotated[str, AfterValidator(_host_port)]
EgressRule = Annotated[str, AfterValidator(_egress_rule)]
Folder = Annotated[Path, AfterValidator(_absolute)]
Port = Annotated[int, Field(gt=0, lt=65536)]


class Settings(BaseSettings):
    """Read once, when a process starts; an empty variable counts as none. `repr` hides every field that may hold a
    secret."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, frozen=True, extra="forbid", hide_input_in_errors=True
    )

    data_dir: Folder = Field(
        Path(".tieline"),
        validate_default=True,
        description="Folder for what Tieline keeps on this machine: database, keys, large payloads, embedded Temporal.",
    )
    database_url: str = Field(
        default_factory=_default_database,
        repr=False,
        description="Tieline's own database: sqlite+aiosqlite:///PATH or postgresql+asyncpg://USER:PASSWORD@HOST/NAME. "
        "Default: tieline.db in the data folder.",
    )
    key_file: Folder = Field(
        default_factory=_default_key_file,
        description="Key-encryption keys, made on first start with mode 0600; not read when `keys` is set. "
        "Default: keys.json in the data folder.",
    )
    keys: SecretStr | None = Field(
        None, description="Key-encryption keys, ID:BASE64 of 32 bytes each, separated by commas, the primary one first."
    )

    temporal_address: HostPort | None = Field(
        None, description="HOST:PORT of a Temporal server. Without it, `tieline up` runs an embedded one."
    )
    temporal_ui: str | None = Field(
        None,
        description="URL of the web interface of that server; its pages may have payloads decoded by the HTTP API.",
    )
    temporal_namespace: str = Field("default", min_length=1, description="Temporal namespace of all runs.")
    temporal_binary: Folder | None = Field(
        None, description="Temporal's command line program, for the embedded server. Default: found, else built."
    )
    temporal_port: Port | None = Field(
        None,
        description="Port of the embedded server on 127.0.0.1, an error when taken; its web UI is 1000 above if that "
        "is free. Default: 7233, else any free one.",
    )
    task_queue: str = Field("tieline", min_length=1, description="Temporal task queue that runs and workers share.")

    egress_allow: Annotated[list[EgressRule], NoDecode, BeforeValidator(_split)] = Field(
        [],
        description="Private destinations that calls may reach: HOST:PORT, IP or CIDR:PORT, separated by commas. "
        "Everything private is refused otherwise, and Tieline's own services but for a rule that names just them.",
    )
    proxy: Annotated[str, AfterValidator(_proxy)] | None = Field(
        None,
        repr=False,
        description="URL of the HTTP proxy for all outbound calls. HTTP_PROXY and the like are ignored.",
    )

    sftp_insecure: bool = Field(
        False,
        description="Whether SFTP accounts of integrations that say host_key: insecure may be used. Anybody on the way "
        "can be their server, and gets the password.",
    )

    gateway_address: HostPort | None = Field(
        None,
        description="HOST:PORT of the HTTP API, an error when taken. Default: 127.0.0.1:8700, else any free port. "
        "Anything but loopback needs an API token first.",
    )
    gateway_url: Annotated[str, AfterValidator(public_url)] | None = Field(
        None,
        description="URL under which browsers reach the HTTP API, such as https://tieline.example: links for "
        "connecting accounts begin with it, and providers send browsers back there. Default: its address, on loopback.",
    )
    gateway_hosts: Annotated[list[str], NoDecode, BeforeValidator(_split)] = Field(
        [],
        description="Names under which the HTTP API is reached, separated by commas; requests for others are refused. "
        "localhost, IP addresses and the host of `gateway_url` need not be named.",
    )
    gateway_proxies: Annotated[list[Network], NoDecode, BeforeValidator(_split)] = Field(
        [],
        description="Addresses or networks of the reverse proxies in front of the HTTP API, separated by commas: their "
        "X-Forwarded-For is believed.",
    )

    notify_webhook_url: Annotated[str, AfterValidator(webhook_url)] | None = Field(
        None,
        repr=False,
        description="URL that is told by a signed POST when somebody must act. Allowed exactly as it stands, also when "
        "private; redirects are not followed.",
    )
    notify_webhook_secret: Annotated[SecretStr, AfterValidator(webhook_secret)] | None = Field(
        None,
        description="What those requests are signed with: whsec_ and 24 to 64 bytes in base64 (Standard Webhooks).",
    )
    notify_email_to: Annotated[list[str], NoDecode, BeforeValidator(_split), AfterValidator(mail_addresses)] = Field(
        [], description="Who is told by e-mail when somebody must act: addresses, separated by commas."
    )
    notify_email_from: Annotated[str, AfterValidator(mail_address)] | None = Field(
        None, description="Sender of those e-mails, one address."
    )
    smtp_url: str | None = Field(
        None,
        repr=False,
        description="Server that takes those e-mails: smtps://USER@HOST[:465] for TLS from the start, "
        "smtp://USER@HOST[:587] for STARTTLS, which is then required, smtp+plain://HOST[:25] for neither. Allowed "
        "exactly as it stands, also when private.",
    )
    smtp_password: SecretStr | None = Field(
        None, description="Password of the user in `smtp_url`, where it does not stand there, percent-encoded."
    )

    assets_url: Annotated[str, AfterValidator(bucket_url)] | None = Field(
        None,
        description="Where assets and large payloads lie: s3://BUCKET or s3://BUCKET/PREFIX. Default: the folder "
        "assets in the data folder.",
    )
    assets_endpoint: Annotated[str, AfterValidator(server_url)] | None = Field(
        None,
        description="URL of the server of that bucket, for one other than Amazon's: https://HOST[:PORT], or http:// "
        "for one without TLS. Reached directly, also when private.",
    )
    assets_region: str | None = Field(
        None, min_length=1, description="Region of that bucket. Default: that of AWS_REGION, else us-east-1."
    )
    assets_access_key_id: str | None = Field(
        None,
        min_length=1,
        description="Id of the access key for it. Default: the machine's own, by AWS_… variables or its role.",
    )
    assets_secret_access_key: SecretStr | None = Field(None, description="That access key itself.")
    asset_retention: Duration = Field(
        timedelta(days=30),
        description="How long a file is kept after it was put, or after a run has taken it up: such as 30d. A run "
        "under way keeps its files however old.",
    )
    asset_max_bytes: int = Field(
        1024**3, gt=0, description="Largest file that the HTTP API takes as an asset. The command line takes any."
    )

    health_address: HostPort | None = Field(None, description="HOST:PORT that serves /healthz and /readyz.")
    metrics_address: HostPort | None = Field(None, description="HOST:PORT that serves Prometheus metrics at /metrics.")
    otlp_endpoint: str | None = Field(None, description="URL of an OTLP/HTTP collector that receives traces.")
    log_format: Literal["text", "json"] = Field("text", description="Log lines for people, or one JSON object each.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severity that is logged."
    )
    grace_period: float = Field(
        30.0, ge=0, description="Seconds that a stopping worker waits for the calls that are under way."
    )

    @model_validator(mode="after")
    def _whole(self) -> "Settings":
        check_whole(self)
        check_assets(self)
        return self


def load_settings() -> Settings:
    """The settings of this process.

    Raises:
        SettingsError: a variable's value cannot be used.
    """
    try:
        return Settings()
    except ValidationError as error:
        faults = error.errors(include_input=False)
        lines = [f"{_place(fault['loc'])}{message(fault)}" for fault in faults]
        raise SettingsError("\n".join(lines)) from None


def make_data_dir(settings: Settings) -> None:
    """Make the data folder where it is missing, for its owner only.

    Raises:
        SettingsError: it cannot be made, or is no folder.
    """
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise unusable_data_dir(settings.data_dir, error) from None


def unusable_data_dir(folder: Path, error: OSError) -> SettingsError:
    """What to tell when something in the data folder cannot be made or written."""
    reason = "it is no folder" if isinstance(error, (FileExistsError, NotADirectoryError)) else error.strerror
    return SettingsError(f"{PREFIX}DATA_DIR: {folder} cannot be used ({reason}): choose a folder that can be written")


def unknown_variables(environment: Mapping[str, str] = os.environ) -> list[str]:
    """One warning for each `TIELINE_…` variable that no setting reads."""
    known = {PREFIX + name.upper() for name in Settings.model_fields} | COMMAND_LINE
    unknown = sorted(name for name in environment if name.upper().startswith(PREFIX) and name.upper() not in known)
    return [_unknown(name, known) for name in unknown]


def _unknown(name: str, known: set[str]) -> str:
    near = difflib.get_close_matches(name.upper(), known, n=1)
    return f"{name} is not a setting of Tieline and was ignored" + (f"; did you mean {near[0]}?" if near else "")


def _place(location: tuple[int | str, ...]) -> str:
    """The variable; a fault of several together names them itself."""
    return f"{PREFIX}{str(location[0]).upper()}: " if location else ""
