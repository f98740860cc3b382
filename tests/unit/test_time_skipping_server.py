"""How the tests get their server that skips time."""

from pathlib import Path

import pytest

from runtime.temporal_binary import Program, TemporalServerError
from tests.fixtures import time_skipping
from tests.fixtures.time_skipping import get_server


async def fails(program: Program) -> Path:
    raise TemporalServerError(f"no {program.name}")


async def works(program: Program) -> Path:
    return Path("/got") / program.version


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.temporal_binary.cache_folder", lambda: tmp_path)


async def test_it_is_downloaded_where_it_cannot_be_built(monkeypatch: pytest.MonkeyPatch) -> None:
    """Debian 12's Go is too old to build it."""
    monkeypatch.setattr(time_skipping, "go_install", fails)
    monkeypatch.setattr(time_skipping, "sdk_download", works)

    assert await get_server() == Path("/got/default")


async def test_where_neither_way_works_both_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time_skipping, "go_install", fails)
    monkeypatch.setattr(time_skipping, "sdk_download", fails)

    with pytest.raises(TemporalServerError, match=r"no temporal-server\nno temporal"):
        await get_server()
