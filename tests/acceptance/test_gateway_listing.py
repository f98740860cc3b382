"""Listing runs through the front door: filters, and page after page."""

import asyncio
import base64
import uuid
from itertools import chain
from typing import Any

import pytest

from tests.fixtures.gateway import Gateway
from tests.fixtures.tieline import PROFILE
from tests.fixtures.waiting import until


async def page(gateway: Gateway, **which: str) -> dict[str, Any]:
    answer = await gateway.http.get("/v1/runs", params=which)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def pages(gateway: Gateway, **which: str) -> list[list[str]]:
    """The ids on each page, from the first to the last."""
    found, cursor = [], ""
    while True:
        told = await page(gateway, **which, **({"cursor": cursor} if cursor else {}))
        found.append([run["id"] for run in told["runs"]])
        if (cursor := told["next_cursor"]) is None:
            return found


async def under_way(gateway: Gateway, count: int) -> tuple[str, list[str]]:
    """Runs in a profile of their own that nobody works on; returns the profile and their ids."""
    profile = f"listed-{uuid.uuid4().hex[:8]}"
    bound = await gateway.http.put(f"/v1/profiles/{profile}/adapters/flaky", json={"account": "flaky"})
    assert bound.status_code == 200, bound.text
    body = {"operation": {"adapter": "flaky", "path": "/ok/x"}, "profile": profile}
    answers = await asyncio.gather(*(gateway.http.post("/v1/runs", json=body) for _ in range(count)))
    ids = [str(answer.json()["id"]) for answer in answers]

    async def listed() -> bool:
        return len((await page(gateway, profile=profile))["runs"]) == count

    await until(listed)
    return profile, ids


async def test_page_after_page_lists_every_run_once(open_gateway: Gateway) -> None:
    profile, ids = await under_way(open_gateway, 7)
    found = await pages(open_gateway, profile=profile, limit="3")
    assert [len(each) for each in found] == [3, 3, 1]
    assert sorted(chain.from_iterable(found)) == sorted(ids)


async def test_what_starts_while_pages_are_read_moves_nothing_out_of_them(open_gateway: Gateway) -> None:
    profile, ids = await under_way(open_gateway, 4)
    first = await page(open_gateway, profile=profile, limit="2")
    body = {"operation": {"adapter": "flaky", "path": "/ok/y"}, "profile": profile}
    later = (await open_gateway.http.post("/v1/runs", json=body)).json()["id"]

    async def listed() -> bool:
        return later in [run["id"] for run in (await page(open_gateway, profile=profile))["runs"]]

    await until(listed)
    second = await page(open_gateway, profile=profile, limit="2", cursor=first["next_cursor"])
    assert sorted(run["id"] for run in first["runs"] + second["runs"]) == sorted(ids)


async def test_the_last_page_says_that_it_is_the_last(open_gateway: Gateway) -> None:
    profile, _ = await under_way(open_gateway, 2)
    assert (await page(open_gateway, profile=profile))["next_cursor"] is None
    assert await pages(open_gateway, profile="nobody") == [[]]


@pytest.mark.parametrize(
    "cursor",
    ["x", "_", "AAAA", base64.urlsafe_b64encode(b"123456789" + b'{"RunID": 1}').decode(), "ä", "%00", "A" * 4096],
)
async def test_a_cursor_that_was_never_handed_out_is_refused(open_gateway: Gateway, cursor: str) -> None:
    answer = await open_gateway.http.get("/v1/runs", params={"cursor": cursor})
    assert (answer.status_code, answer.json()["category"]) == (422, "invalid_cursor")


async def test_a_cursor_that_was_changed_is_refused(open_gateway: Gateway) -> None:
    profile, _ = await under_way(open_gateway, 2)
    cursor = (await page(open_gateway, profile=profile, limit="1"))["next_cursor"]
    forged = base64.urlsafe_b64encode(base64.urlsafe_b64decode(cursor + "==")[:16] + b"no token").decode().rstrip("=")
    answer = await open_gateway.http.get("/v1/runs", params={"profile": profile, "cursor": forged})
    assert (answer.status_code, answer.json()["category"]) == (422, "invalid_cursor")


async def test_a_cursor_of_other_filters_is_refused(open_gateway: Gateway) -> None:
    profile, _ = await under_way(open_gateway, 2)
    cursor = (await page(open_gateway, profile=profile, limit="1"))["next_cursor"]
    answer = await open_gateway.http.get("/v1/runs", params={"cursor": cursor})
    assert (answer.status_code, answer.json()["category"]) == (422, "invalid_cursor")


@pytest.mark.parametrize("query", ["limit=1001", "limit=0", "cursor=", f"cursor={'A' * 4097}"])
async def test_a_page_that_cannot_be_is_refused(open_gateway: Gateway, query: str) -> None:
    answer = await open_gateway.http.get(f"/v1/runs?{query}")
    assert answer.status_code == 422


async def test_runs_are_listed_by_what_they_are(working_gateway: Gateway) -> None:
    run_id = (await working_gateway.push("flaky", f"/ok/{uuid.uuid4().hex[:8]}", wait=30)).json()["id"]

    async def ids(**which: str) -> list[str]:
        told = await page(working_gateway, adapter="flaky", limit="1000", **which)
        return [run["id"] for run in told["runs"]]

    async def listed() -> bool:
        return run_id in await ids(state="completed", profile=PROFILE, definition="flaky")

    await until(listed)
    assert run_id not in await ids(state="failed")
    assert run_id not in await ids(profile="dev")
    assert run_id not in await ids(until="2020-01-01T00:00:00Z")
    assert run_id not in await ids(account="flaky")  # it never had to wait for its account


async def test_runs_that_wait_because_of_an_account_are_listed_by_it(working_gateway: Gateway) -> None:
    run_id = (await working_gateway.push("flaky", f"/cut/{uuid.uuid4().hex[:8]}")).json()["id"]

    async def listed() -> bool:
        told = await page(working_gateway, account="flaky", state="waiting_for_decision", limit="1000")
        return run_id in [run["id"] for run in told["runs"]]

    await until(listed)
    assert run_id not in [run["id"] for run in (await page(working_gateway, account="crm", limit="1000"))["runs"]]


async def test_a_value_in_a_filter_adds_no_condition(open_gateway: Gateway) -> None:
    profile, _ = await under_way(open_gateway, 1)
    assert (await page(open_gateway, account=f"x' OR TielineProfile = '{profile}"))["runs"] == []
