"""Record what is missing of SFTP runs in the replay corpus: `python -m tests.replay.record_sftp`."""

import asyncio
import json
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncssh

from definitions.refs import CredentialRef
from definitions.run import Decision
from definitions.sftp import SftpList
from examples.externalsystems import serve
from runtime.assembly import open_worker
from runtime.exit import leave
from runtime.profiles import bind
from runtime.settings import Settings
from runtime.temporal_server import embedded_temporal
from tests.fixtures.sftp_runs import ADAPTER, SftpWorld, bind_server, upload_of
from tests.fixtures.sshd import sshd_server
from tests.fixtures.tieline import installed
from tests.fixtures.waiting import until
from tests.replay.record import KEYS, MANIFEST, fresh, keep

Scenario = Callable[[SftpWorld], Awaitable[str]]
LISTING = SftpList(type="sftp.list")


async def sent(world: SftpWorld) -> str:
    return (await world.start("upload", **upload_of(await world.keep(b"whole")))).id


async def nothing_there(world: SftpWorld) -> str:
    return (await world.start("download", paths=["nosuch"])).id


async def host_key_trusted(world: SftpWorld) -> str:
    return await _decided_about_key(world, "trust")


async def asked_after_its_host_key_was_trusted(world: SftpWorld) -> str:
    run_id = await _decided_about_key(world, "trust", SftpList(type="sftp.list", path="nosuch", on_failure="park"))
    await until(lambda: _waits_for_no_key(world, run_id), limit=60)
    await world.tieline.runs.decide(run_id, Decision(action="fail", who="ann", why="there is none"))
    return run_id


async def host_key_refused(world: SftpWorld) -> str:
    return await _decided_about_key(world, "fail")


async def secrets_refused_until_replaced(world: SftpWorld) -> str:
    accounts = world.tieline.stores.accounts
    stranger = asyncssh.generate_private_key("ssh-ed25519").export_private_key("openssh").decode()
    right = world.private_key
    await accounts.set_secrets(ADAPTER, {"private_key": stranger})
    run_id = await _listed(world)
    await until(lambda: _is(world, run_id, "waiting_for_reconnect"), limit=60)
    await accounts.set_secrets(ADAPTER, {"private_key": right})
    return run_id


async def refused_and_cleaned_up(world: SftpWorld) -> str:
    (world.folder / "taken").write_bytes(b"somebody else's")
    return (await world.start("upload", **upload_of(await world.keep(b"whole"), "taken"))).id


SFTP_SCENARIOS: tuple[Scenario, ...] = (
    sent,
    nothing_there,
    refused_and_cleaned_up,
    secrets_refused_until_replaced,
    host_key_trusted,
    asked_after_its_host_key_was_trusted,
    host_key_refused,  # the last one: the account goes on trusting another key
)


async def _decided_about_key(world: SftpWorld, action: str, operation: SftpList = LISTING) -> str:
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key("openssh").decode()
    await world.tieline.stores.host_keys.trust(ADAPTER, [other], who="ann", why="to be changed")
    run_id = await _listed(world, operation)
    await until(lambda: _is(world, run_id, "waiting_for_decision"), limit=60)
    decision = Decision.model_validate({"action": action, "who": "ann", "why": "asked the bank"})
    await world.tieline.runs.decide(run_id, decision)
    return run_id


async def _listed(world: SftpWorld, operation: SftpList = LISTING) -> str:
    """Through a profile of its own: what was changed is not known there from before."""
    stores, profile = world.tieline.stores, fresh()
    await bind(stores, profile, ADAPTER, ADAPTER)
    credential = CredentialRef(adapter=ADAPTER, profile=profile)
    integration = await stores.definitions.integration(ADAPTER)
    return (await world.tieline.runs.start(operation, credential, integration)).id


async def _is(world: SftpWorld, run_id: str, state: str) -> bool:
    return (await world.tieline.runs.summary(run_id)).state == state


async def _waits_for_no_key(world: SftpWorld, run_id: str) -> bool:
    run = await world.tieline.runs.summary(run_id)
    return run.state == "waiting_for_decision" and run.waiting is None


async def main() -> None:
    ids: dict[str, str] = json.loads(MANIFEST.read_text(encoding="utf-8"))
    missing = [scenario for scenario in SFTP_SCENARIOS if scenario.__name__ not in ids]
    with tempfile.TemporaryDirectory() as folder, sshd_server() as sshd:
        async with (
            embedded_temporal(Settings(data_dir=Path(folder))) as server,
            serve() as systems,
            installed(Path(folder) / "tieline", server.address, systems, keys=KEYS, allow=[sshd.place]) as tieline,
            open_worker(tieline.stores, tieline.client),
        ):
            root = sshd.home / "replay"
            root.mkdir()
            await bind_server(tieline, sshd, root)
            world = SftpWorld(tieline, root, sshd.text("user"))
            for scenario in missing:
                run_id = await scenario(world)
                await keep(tieline, scenario.__name__, run_id)
                ids[scenario.__name__] = run_id
    MANIFEST.write_text(json.dumps(ids, indent=2) + "\n", encoding="utf-8")
    print(f"{len(missing)} histories of SFTP runs were recorded")


if __name__ == "__main__":
    asyncio.run(main())
    leave(0)
