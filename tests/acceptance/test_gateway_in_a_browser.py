"""The front door as a browser meets it: its documentation, Temporal's interface beside it, and other sites' pages."""

import json
import uuid
from pathlib import Path

import httpx2
import pytest
from temporalio.api.enums.v1 import EventType

from tests.fixtures.chromium import Chromium
from tests.fixtures.gateway import Gateway
from tests.fixtures.processes import serving_process
from tests.fixtures.shop import Shop
from tests.fixtures.tieline import PROFILE, Installation
from tests.fixtures.waiting import until

OPENED = "document.querySelector('.opblock.is-open')"


async def shows(chromium: Chromium, text: str) -> None:
    """Wait until a person reads this."""

    async def shown() -> bool:
        return bool(await chromium.script(f"return document.body.innerText.includes({json.dumps(text)})"))

    await until(shown, limit=60)


async def press(chromium: Chromium, element: str) -> None:
    """Click what this expression finds, as soon as it is there."""

    async def pressed() -> bool:
        return bool(await chromium.script(f"const found = {element}; if (found) found.click(); return !!found"))

    await until(pressed, limit=60)


async def tried_out(chromium: Chromium, path: str) -> str:
    """Open the first operation on this path in the documentation, execute it; the status that it answers."""
    await press(chromium, f"document.querySelector('[data-path=\"{path}\"]')?.closest('button')")
    block = f"document.querySelector('[data-path=\"{path}\"]')?.closest('.opblock.is-open')"  # another may be closing
    await press(chromium, f"{block}?.querySelector('.execute')")
    status = f"return {block}?.querySelector('.live-responses-table tbody .response-col_status')?.innerText ?? ''"

    async def answered() -> bool:
        return bool(await chromium.script(status))

    await until(answered, limit=60)
    return str(await chromium.script(status)).strip()


async def test_the_documentation_shows_and_tries_every_route_within_its_policy(
    chromium: Chromium, open_gateway: Gateway
) -> None:
    await chromium.go(f"{open_gateway.url}/docs")
    await shows(chromium, "Read a run's history")
    text = await chromium.text()
    paths = (await open_gateway.http.get("/openapi.json")).json()["paths"]
    assert [path for path in paths if path not in text] == []
    assert await tried_out(chromium, "/v1/profiles") == "200"
    assert PROFILE in await chromium.script(f"return {OPENED}.querySelector('.live-responses-table').innerText")
    assert await chromium.complaints() == []


async def test_the_documentation_presents_a_token_that_is_typed_in(chromium: Chromium, closed_gateway: Gateway) -> None:
    token = (await closed_gateway.token("manage"))["Authorization"].removeprefix("Bearer ")
    await chromium.go(f"{closed_gateway.url}/docs")
    without = await tried_out(chromium, "/v1/profiles")
    # Anew: the page forgets now and then what else there is when a second operation is tried.
    await chromium.go(f"{closed_gateway.url}/docs")
    await press(chromium, "document.querySelector('.auth-wrapper .authorize')")
    await chromium.type(".auth-container input", token)
    await press(chromium, "document.querySelector('.auth-btn-wrapper .authorize')")
    await press(chromium, "document.querySelector('.auth-btn-wrapper .btn-done')")
    assert (without, await tried_out(chromium, "/v1/integrations")) == ("401", "200")


async def test_a_page_of_another_origin_does_nothing_and_reads_nothing(
    chromium: Chromium, open_gateway: Gateway
) -> None:
    run_id = (await open_gateway.push("flaky", f"/ok/{uuid.uuid4().hex}")).json()["id"]
    run = f"{open_gateway.url}/v1/runs/{run_id}"
    await chromium.go(f"http://{open_gateway.tieline.systems.server}/")
    reached = [
        await fetched(chromium, run, {}),
        await fetched(chromium, f"{run}/cancel", {"method": "POST"}),
        await fetched(chromium, f"{run}/cancel", {"method": "POST", "mode": "no-cors"}),
    ]
    assert reached == ["TypeError", "TypeError", "opaque 0"]
    events = [event async for event in open_gateway.tieline.client.get_workflow_handle(run_id).fetch_history_events()]
    assert EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED not in [event.event_type for event in events]


@pytest.mark.parametrize(
    ("answer", "outcome", "told"),
    [("#allow", "connected", "account main: connected"), ("#deny", "denied", "the consent was refused")],
)
async def test_a_person_answers_at_the_provider_and_the_app_that_asked_learns_of_it(
    chromium: Chromium, shop: Shop, answer: str, outcome: str, told: str
) -> None:
    shop.provider.consent = "ask"
    invited = await shop.link()
    await chromium.go(invited["link"])
    await chromium.click(answer)
    await shows(chromium, told)
    assert (await shop.progress(invited["id"]))["outcome"] == outcome


async def fetched(chromium: Chromium, url: str, options: dict[str, str]) -> str:
    """What a page's script comes to know of a request."""
    return str(
        await chromium.script(
            f"return fetch({json.dumps(url)}, {json.dumps(options)})"
            ".then(answer => `${answer.type} ${answer.status}`, error => error.name)"
        )
    )


async def test_temporals_interface_shows_payloads_and_once_there_is_a_token_to_who_presented_it(
    chromium: Chromium, idle: Installation, tmp_path: Path
) -> None:
    name = f"shown-{uuid.uuid4().hex[:8]}"
    async with serving_process(idle, tmp_path, "up", "-o", "json", temporal_address="") as process:
        await until(lambda: process.output.rstrip().endswith("}"))
        facts = json.loads(process.output)
        gateway = facts["http_api"]
        async with httpx2.AsyncClient(base_url=gateway, trust_env=False, timeout=40) as http:
            operation = {"adapter": "flaky", "method": "POST", "path": f"/ok/{name}"}
            started = await http.post("/v1/runs", json={"profile": PROFILE, "operation": operation, "wait": 30})
        page = f"{facts['temporal_ui']}/namespaces/default/workflows/{started.json()['id']}"

        await chromium.go(page)
        await shows(chromium, f'"path": "/ok/{name}"')

        _, token = await idle.stores.api_tokens.create("ann", ["runs:read"])
        await chromium.go(page)
        await shows(chromium, '"encoding": "YmluYXJ5L2VuY3J5cHRlZA=="')  # binary/encrypted
        assert name not in (await chromium.text()).partition("Event History")[0]

        await chromium.go(f"{gateway.replace('://', f'://ann:{token}@')}/codec")
        told = await chromium.text()
        assert f"enter {gateway}/codec" in told
        await chromium.go(page)
        await chromium.script(USE_MY_BROWSER_SETTING % f"{gateway}/codec")
        await chromium.go(page)
        await shows(chromium, f'"path": "/ok/{name}"')


USE_MY_BROWSER_SETTING = """
localStorage.setItem('overrideRemoteCodecConfiguration', 'true');
localStorage.setItem('includeCredentials', 'true');
localStorage.setItem('endpoint', JSON.stringify('%s'));
"""
"""What the interface keeps of its dialog "Codec Server"."""
