"""No secret is found anywhere, whoever was careless with it.

Recognisable secrets are planted in every place that takes one. A worker process with everything switched on that talks
(debug logs, traces), commands as a user types them, and a provider that quotes all it receives then do what they can to
spread them. Afterwards logs, output, histories, spans, databases and files are searched for each of them in every form.
That the search finds what is there is shown first: by markers in the same artefacts, and by what reached the provider.
"""

import pytest
import pytest_asyncio

from examples.externalsystems import Systems
from tests.fixtures.canaries import canary, forms, found
from tests.fixtures.collector import Collector
from tests.fixtures.databases import new_postgresql_database
from tests.fixtures.planting import TRAVELLING
from tests.fixtures.spreading import ARTEFACTS, COMMANDS, DECODED, Spread, spread

FORMS = sorted(forms("x"))
STATUSES = {
    "apply": 0,
    "secrets of the environment": 0,
    "secrets of files": 0,
    "a secret of an integration": 0,
    "a refusal": 1,
    "new keys": 0,
}
MORE_STATUSES = {
    "a line break": 2,
    "a plain argument": 2,
    "one argument too many": 2,
    "secrets in definitions": 2,
    "a broken key in a variable": 2,
    "a database that is away": 3,
    "an answer": 0,
    "runs": 0,
    "a waiting run": 0,
    "a failed run": 0,
    "accounts": 0,
    "an account": 0,
    "a test that fails": 1,
    "no renewal": 1,
    "no token": 1,
    "the doctor": 1,
    "a proxy that is away": 1,
}

pytestmark = pytest.mark.timeout(240)


@pytest_asyncio.fixture(scope="module", params=["sqlite", "postgresql"])
async def seen(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, systems: Systems, collector: Collector
) -> Spread:
    """What was left behind on each kind of database; on the one with a password, after many more commands."""
    folder = tmp_path_factory.mktemp("canary")
    if request.param == "sqlite":
        return await spread(folder, systems, collector, None, all_commands=False)
    url = await new_postgresql_database(request.getfixturevalue("postgresql"))
    return await spread(folder, systems, collector, url, all_commands=True)


@pytest.mark.parametrize("form", FORMS)
def test_the_search_finds_a_secret_in_every_form_and_nothing_else(form: str) -> None:
    planted, other = canary("planted", 'canary-{core}/+"&=%'), canary("other")
    content = b"\0before" + forms(planted.value)[form] + b"after\xff"
    assert found({"a file": content}, [planted])
    assert found({"a file": content}, [other]) == []


@pytest.mark.parametrize("place", ARTEFACTS)
def test_the_search_finds_what_each_artefact_should_hold(seen: Spread, place: str) -> None:
    assert found({place: seen.artefacts[place]}, [seen.markers[place]])


@pytest.mark.parametrize("name", TRAVELLING)
def test_each_secret_was_really_used_and_could_be_quoted(seen: Spread, name: str) -> None:
    assert found({"what reached the provider": seen.provider}, [seen.planted[name]])


@pytest.mark.parametrize("place", [DECODED, COMMANDS])
def test_secrets_were_really_quoted_and_taken_out(seen: Spread, place: str) -> None:
    assert b"[redacted]" in seen.artefacts[place]


def test_commands_and_worker_ended_as_they_should(seen: Spread) -> None:
    assert seen.worker_status == 0
    assert seen.statuses in (STATUSES, STATUSES | MORE_STATUSES)


@pytest.mark.parametrize("place", ARTEFACTS)
def test_no_secret_is_found_in(seen: Spread, place: str) -> None:
    assert found({place: seen.artefacts[place]}, seen.planted.values()) == []
