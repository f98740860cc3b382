"""What every benchmark stands on: one installation, one embedded Temporal server, one HTTP server to call."""

import contextlib
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.by_hand import TOKEN
from benchmarks.counterpart import counterpart
from definitions.loading import load_text
from definitions.operation import HttpOperation
from definitions.refs import CredentialRef
from runtime.assembly import Stores, open_stores
from runtime.settings import Settings
from runtime.temporal_server import embedded_temporal

REF = CredentialRef(adapter="bench", profile="bench")
OPERATION = HttpOperation(method="GET", path="/people/4711")

DEFINITIONS = """
kind: integration
key: bench
name: The server of the benchmarks
base_url: "http://127.0.0.1:{port}"
auth:
  type: api_token
  place: [{{in: header, name: Authorization, value: "Bearer {{token}}"}}]
---
kind: profile
name: bench
adapters: {{bench: bench}}
"""


@dataclass(frozen=True, slots=True)
class Stage:
    """`temporal` is the server's HOST:PORT, `port` that of the HTTP server."""

    folder: Path
    temporal: str
    port: int
    stores: Stores

    @property
    def url(self) -> str:
        """Where `OPERATION` leads, for whoever calls by hand."""
        return f"http://127.0.0.1:{self.port}{OPERATION.path}"


@contextlib.asynccontextmanager
async def open_stage() -> AsyncIterator[Stage]:
    """Everything, in a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="tieline-benchmarks-") as name:
        folder = Path(name)
        async with counterpart(folder) as port, embedded_temporal(_settings(folder, port)) as temporal:
            settings = _settings(folder, port, temporal_address=temporal.address)
            async with installed(settings, port) as stores:
                yield Stage(folder, temporal.address, port, stores)


@contextlib.asynccontextmanager
async def installed(settings: Settings, port: int) -> AsyncIterator[Stores]:
    """An installation with the account that everything here is called with."""
    async with open_stores(settings) as stores:
        await stores.definitions.apply(load_text(DEFINITIONS.format(port=port), "benchmarks.yaml"))
        await stores.accounts.create("bench", "bench", {}, {"token": TOKEN})
        yield stores


def _settings(folder: Path, port: int, temporal_address: str | None = None) -> Settings:
    return Settings(
        data_dir=folder,
        temporal_address=temporal_address,
        temporal_port=None,
        task_queue="tieline-bench",
        egress_allow=[f"127.0.0.1:{port}"],
    )
