"""Bodies that are larger than any memory that may be used for them, both ways, measured in a process of their own."""

import asyncio
import json
import sys
from pathlib import Path

from tests.fixtures.databases import migrated_sqlite
from tests.fixtures.http import Answer, FaultServer, Received, Wire

ROOT = Path(__file__).parents[2]
MIB = 1024 * 1024
SIZE = 64 * MIB
ALLOWED = 24 * MIB
"""The whole process above what it had before; half of a body would already be more."""

FETCHING_AND_SENDING = """
import asyncio, json, sys
from pathlib import Path
from activities.keeping import keep_answer
from activities.sources import Sources
from definitions.operation import HttpOperation
from definitions.refs import CredentialRef
from definitions.run import Call, Delivery
from net.client import GuardedClient
from net.egress import AllowRule, EgressPolicy
from net.messages import OutboundRequest
from storage.assets import AssetStore
from storage.database import Database

def peak():
    # Not what getrusage tells, which is that of the parent where that had more.
    told = Path("/proc/self/status").read_text().partition("VmHWM:")[2]
    return int(told.split()[0]) * 1024

async def main(folder, port):
    client = GuardedClient(EgressPolicy([AllowRule.parse("127.0.0.1")]))
    database = Database(f"sqlite+aiosqlite:///{folder}/tieline.db")
    store = AssetStore(database, Path(folder, "assets"))
    call = Call(operation=HttpOperation(path="small"), credential=CredentialRef(adapter="a", profile="b"),
                delivery=Delivery.SAFE, idempotency_key="k")

    async def through(path):
        get = OutboundRequest("GET", f"http://127.0.0.1:{port}/{path}", ports=frozenset({port}))
        async with client.stream(get) as answer:
            asset = await keep_answer(store, answer, call, key=None, holder="user")
        put = OutboundRequest("PUT", f"http://127.0.0.1:{port}/taken", content=Sources(store).asset(asset),
                              ports=frozenset({port}))
        return asset.size, (await client.send(put)).status

    await through("small")
    before = peak()
    size, status = await through("large")
    print(json.dumps({"size": size, "status": status, "grown": peak() - before}))
    await client.aclose()
    await database.dispose()

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


async def test_64_mib_come_and_go_in_a_fraction_of_that_memory(http_server: FaultServer, tmp_path: Path) -> None:
    taken: list[int] = []
    piece = bytes(range(256)) * 1024

    async def give(received: Received, wire: Wire) -> None:
        size = SIZE if received.path == "/large" else len(piece)
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(size // len(piece)):
            await wire.send(piece)

    async def take(received: Received, wire: Wire) -> Answer:
        left = int(received.header("Content-Length") or 0)
        taken.append(left)
        while left:
            left -= len(await wire.receive(left))
        return Answer(201)

    http_server.on("/small", give)
    http_server.on("/large", give)
    http_server.on_head("/taken", take)
    await migrated_sqlite(tmp_path / "tieline.db")
    command = (sys.executable, "-c", FETCHING_AND_SENDING, str(tmp_path), str(http_server.port))
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    output, _ = await asyncio.wait_for(process.communicate(), 50)

    told = json.loads(output)
    assert (told["size"], told["status"], taken[-1]) == (SIZE, 201, SIZE)
    assert told["grown"] < ALLOWED, told
