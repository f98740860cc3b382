"""The demo's definitions fit the systems that they describe."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
import pytest_asyncio

from definitions.integration import Integration
from definitions.loading import load_paths
from definitions.profile import Profile
from definitions.templates import Template
from definitions.urls import build_url
from examples.externalsystems import Systems, serve
from examples.externalsystems.accepted import SYSTEMS

FOLDER = Path(__file__).parents[2] / "examples" / "demo" / "definitions"
MODELS = [document.model for document in load_paths([FOLDER])]
INTEGRATIONS = {model.key: model for model in MODELS if isinstance(model, Integration)}
PROFILES = {model.name: model for model in MODELS if isinstance(model, Profile)}


@pytest_asyncio.fixture(scope="module")
async def systems() -> AsyncIterator[Systems]:
    async with serve() as systems:
        yield systems


@pytest.mark.parametrize("key", sorted(SYSTEMS))
def test_an_integration_asks_for_the_secrets_that_its_system_accepts(key: str) -> None:
    asked = set(INTEGRATIONS[key].secret_fields())

    assert [set(tenant.secrets) for tenant in SYSTEMS[key].values()] == [asked, asked]


@pytest.mark.parametrize("key", sorted(SYSTEMS))
async def test_a_declared_test_call_without_credential_is_refused_as_the_integration_says(
    key: str, systems: Systems
) -> None:
    reply = await call_test(INTEGRATIONS[key], systems.server)

    assert reply.status_code in INTEGRATIONS[key].unauthorized


@pytest.mark.parametrize("key", ["flaky", "flaky-keyed"])
async def test_the_flaky_system_answers_its_test_call(key: str, systems: Systems) -> None:
    reply = await call_test(INTEGRATIONS[key], systems.flaky_server)

    assert reply.status_code == 200


def test_dev_and_production_bind_the_same_adapters_to_different_accounts() -> None:
    dev, production = PROFILES["dev"].adapters, PROFILES["production"].adapters

    assert set(production) == {"social", "gifs", "crm", "bank"}
    assert {name for name in production if dev[name] == production[name]} == set()


async def call_test(integration: Integration, server: str) -> httpx2.Response:
    """The integration's own test call, as it stands."""
    assert integration.test is not None
    base = Template.parse(integration.base_url).render({"server": server})
    url = build_url(base, integration.test.path, integration.test.query)
    async with httpx2.AsyncClient(trust_env=False) as client:
        return await client.request(integration.test.method, url)
