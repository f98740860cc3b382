"""Trying an SFTP account: a login and a look at its root folder, told in the words of whoever tries it."""

from collections.abc import AsyncIterator
from pathlib import Path

import asyncssh
import pytest_asyncio

from definitions.loading import load_text
from runtime.account_test import Outcome, try_account
from runtime.assembly import Stores, open_stores
from runtime.settings import Settings
from tests.fixtures.sshd import Sshd

INTEGRATION = """
kind: integration
key: files
name: Files
base_url: "sftp://{place}{root}/{{folder}}"
parameters: {{folder: {{}}}}
auth: {{type: sftp, host_key: pinned}}
"""
STRANGER = asyncssh.generate_private_key("ssh-ed25519")


@pytest_asyncio.fixture
async def stores(tmp_path: Path, sshd: Sshd) -> AsyncIterator[Stores]:
    async with open_stores(Settings(data_dir=tmp_path, egress_allow=[sshd.place])) as opened:
        await opened.definitions.apply(load_text(INTEGRATION.format(place=sshd.place, root=sshd.root), "files.yaml"))
        yield opened


async def tried(stores: Stores, sshd: Sshd, *, folder: str = ".", host_key: str = "", key: str = "") -> Outcome:
    secrets = {"username": sshd.username, "private_key": key or sshd.text("user")}
    keys = [host_key or sshd.public_key()]
    await stores.accounts.create("partner", "files", {"folder": folder}, secrets, host_keys=keys)
    return await try_account(stores, "partner")


async def test_an_account_that_can_log_in_works(stores: Stores, sshd: Sshd) -> None:
    (sshd.home / "tried").mkdir(exist_ok=True)

    outcome = await tried(stores, sshd, folder="tried")

    assert outcome.told == f"logged in as {sshd.username}"
    assert outcome.as_json() == {"account": "partner", "works": True, "status": None, "failure": None}


async def test_a_root_folder_that_is_not_there_is_told(stores: Stores, sshd: Sshd) -> None:
    outcome = await tried(stores, sshd, folder="nowhere")

    assert "there is no folder" in outcome.told
    assert not outcome.as_json()["works"]


async def test_another_host_key_is_told_with_the_command_that_trusts_it(stores: Stores, sshd: Sshd) -> None:
    mine = STRANGER.convert_to_public().export_public_key().decode()

    outcome = await tried(stores, sshd, folder="tried", host_key=mine)

    assert STRANGER.get_fingerprint() in outcome.told
    presented = asyncssh.import_public_key(sshd.public_key()).get_fingerprint()
    assert f"tieline accounts trust-host-key partner {presented} --why TEXT" in (outcome.action or "")
    assert outcome.as_json()["failure"].suggested_action == outcome.action, "no run waits that could be decided about"


async def test_a_refused_login_is_told_and_the_account_is_left_as_it_was(stores: Stores, sshd: Sshd) -> None:
    outcome = await tried(stores, sshd, folder="tried", key=STRANGER.export_private_key().decode())

    assert outcome.failure is not None
    assert outcome.failure.category == "credential_refused"
    assert outcome.action == "renew the account's secrets: tieline accounts set-secrets partner"
    assert (await stores.accounts.get("partner")).state == "active"
