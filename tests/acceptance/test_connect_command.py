"""`tieline accounts connect` and `disconnect` as they are typed, with a browser's steps made by hand."""

import asyncio
import json
import os
import re
import socket
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
import pytest_asyncio

from definitions.loading import load_text
from runtime.settings import Settings
from runtime.stores import open_stores
from tests.fixtures.authorization_server import StrictServer
from tests.fixtures.consented import authorization_code
from tests.fixtures.refreshing import CLIENT

LIMIT = 60.0


@dataclass
class Desk:
    """A folder with an account that nobody has connected."""

    folder: Path
    server: StrictServer
    port: int

    async def command(self, *arguments: str) -> asyncio.subprocess.Process:
        pipe = asyncio.subprocess.PIPE
        environment = {
            **os.environ,
            "TIELINE_DATA_DIR": str(self.folder),
            "TIELINE_EGRESS_ALLOW": f"127.0.0.1:{self.server.port}",
        }
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", "import cli; cli.main()", "accounts", *arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=pipe,
            stderr=pipe,
            env=environment,
        )

    async def connect(self, *options: str) -> asyncio.subprocess.Process:
        return await self.command("connect", "main", "--port", str(self.port), *options)


@pytest_asyncio.fixture
async def desk(tmp_path: Path, strict_server: StrictServer) -> AsyncIterator[Desk]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        free_port = probe.getsockname()[1]
    strict_server.client.redirect_uris = (f"http://127.0.0.1:{free_port}/connect/callback",)
    document = {
        "kind": "integration",
        "key": "own",
        "name": "own",
        "base_url": strict_server.url,
        "auth": authorization_code(strict_server),
        "test": {"path": "/api/me"},
    }
    async with open_stores(Settings(data_dir=tmp_path)) as stores:
        await stores.definitions.apply(load_text(json.dumps(document), "test.yaml"))
        await stores.accounts.create("main", "own", {}, CLIENT)
    yield Desk(tmp_path, strict_server, free_port)


async def link_of(process: asyncio.subprocess.Process) -> str:
    """What the command prints for the person."""
    assert process.stderr is not None
    told = ""
    while (found := re.search(r"http://\S+/connect/start/\S+", told)) is None:
        line = await asyncio.wait_for(process.stderr.readline(), LIMIT)
        assert line, told
        told += line.decode()
    return found[0]


async def ended(process: asyncio.subprocess.Process) -> tuple[int, str, str]:
    output, errors = await asyncio.wait_for(process.communicate(), LIMIT)
    assert process.returncode is not None
    return process.returncode, output.decode(), errors.decode()


async def test_the_link_is_followed_the_account_works_and_is_disconnected(desk: Desk) -> None:
    process = await desk.connect()
    async with httpx2.AsyncClient(follow_redirects=True) as browser:
        page = await browser.get(await link_of(process))
    connected = await ended(process)
    tested = await ended(await desk.command("test", "main"))
    disconnected = await ended(await desk.command("disconnect", "main", "--yes"))
    again = await ended(await desk.command("test", "main"))
    assert "account main: connected" in page.text
    assert connected[:2] == (0, "account main: connected\n")
    assert tested[:2] == (0, "account main: works (answered 200)\n")
    assert disconnected[:2] == (0, "account main: disconnected, and its grant revoked at the provider\n")
    assert again[0] == 1
    assert "connect it again: tieline accounts connect main" in again[2]


async def test_a_denied_consent_ends_the_command_with_the_reason(desk: Desk) -> None:
    desk.server.consent = "deny"
    process = await desk.connect("--output", "json")
    async with httpx2.AsyncClient(follow_redirects=True) as browser:
        page = await browser.get(await link_of(process))
    status, output, _ = await ended(process)
    assert page.status_code == 400
    assert (status, json.loads(output)["error"]["outcome"]) == (1, "denied")


async def test_a_link_of_the_configured_gateway_is_printed_and_nothing_served_here(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIELINE_GATEWAY_URL", "http://localhost:8799/")
    process = await desk.command("connect", "main")
    try:
        assert (await link_of(process)).startswith("http://localhost:8799/connect/start/")
    finally:
        process.kill()
        await process.communicate()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--url", "http://tieline.example"], "--url: the address that providers send browsers back to must begin"),
        (["--url", "https://tieline.example/app"], "--url: expected scheme, host and port alone"),
        (["--url", "https://tieline.example", "--port", "8701"], "--url and --port"),
    ],
)
async def test_an_address_that_cannot_be_is_bad_use(desk: Desk, options: list[str], told: str) -> None:
    status, _, errors = await ended(await desk.command("connect", "main", *options))
    assert status == 2
    assert told in errors
