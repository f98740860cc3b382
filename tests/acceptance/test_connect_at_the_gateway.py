"""The pages for connecting at the front door: no token for a person's browser, and nothing for other sites' pages."""

import json
from pathlib import Path

import pytest

from auth.connect import CALLBACK_PATH, CONNECTED
from definitions.loading import load_text
from examples.externalsystems import Systems
from runtime.connecting import open_connecting
from runtime.temporal_server import TemporalAddress
from storage.accounts import ACTIVE
from tests.fixtures.authorization_server import StrictServer
from tests.fixtures.consented import authorization_code
from tests.fixtures.gateway import Gateway, opened_gateway
from tests.fixtures.refreshing import CLIENT
from tests.fixtures.tieline import installed

VISIT = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
"""What a browser says of itself when the provider, or a mail with the link, sends its person here."""
IMAGE = {**VISIT, "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
FRAME = {**VISIT, "Sec-Fetch-Dest": "iframe"}


@pytest.mark.parametrize("path", ["/connect/start/unknown", f"{CALLBACK_PATH}?state=unknown&code=x"])
async def test_a_browser_sent_by_another_site_is_answered_without_a_token(closed_gateway: Gateway, path: str) -> None:
    answer = await closed_gateway.http.get(path, headers=VISIT)
    assert answer.status_code in (400, 404)
    assert "Not connected" in answer.text


@pytest.mark.parametrize(
    ("path", "headers"),
    [("/connect/start/x", IMAGE), ("/connect/start/x", FRAME), ("/v1/runs", VISIT), ("/connected", VISIT)],
)
async def test_no_page_of_another_site_asks_for_anything_else(
    open_gateway: Gateway, path: str, headers: dict[str, str]
) -> None:
    answer = await open_gateway.http.get(path, headers=headers)
    assert (answer.status_code, answer.json()["category"]) == (403, "foreign_page")


async def test_an_account_is_connected_at_the_front_door(
    tmp_path: Path, temporal_server: TemporalAddress, systems: Systems, strict_server: StrictServer
) -> None:
    document = {
        "kind": "integration",
        "key": "own",
        "name": "own",
        "base_url": strict_server.url,
        "auth": authorization_code(strict_server),
    }
    allow = [f"127.0.0.1:{strict_server.port}"]
    async with (
        installed(tmp_path, temporal_server.address, systems, allow=allow) as idle,
        opened_gateway(idle) as gateway,
        open_connecting(idle.stores) as elsewhere,
    ):
        strict_server.client.redirect_uris = (f"{gateway.url}{CALLBACK_PATH}",)
        await idle.stores.definitions.apply(load_text(json.dumps(document), "test.yaml"))
        await idle.stores.accounts.create("main", "own", {}, CLIENT)
        await gateway.token("manage")

        invitation = await elsewhere.connector.invite("main", gateway.url)
        page = await gateway.http.get(invitation.link, headers=VISIT, follow_redirects=True)

        assert "account main: connected" in page.text
        progress = await elsewhere.connector.progress(invitation.id)
        assert progress is not None
        assert progress.outcome == CONNECTED
        assert (await idle.stores.accounts.get("main")).state == ACTIVE
