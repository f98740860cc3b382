"""Files and the room that there is for them: the database may be on the same disk."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cli.app import run
from storage.assets import USER, AssetStore, draft
from storage.errors import AssetStoreFull
from tests.fixtures.assets import CONTENT, blobs, drafts, pieces

FULL = draft.RESERVE_BYTES


async def test_a_file_that_does_not_fit_is_refused_before_a_byte_of_it_is_read(
    disk_store: AssetStore, asset_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unread() -> AsyncIterator[bytes]:
        pytest.fail("it was read")
        yield b""

    monkeypatch.setattr(draft, "_free", lambda _: FULL + 1000)
    with pytest.raises(AssetStoreFull, match=f"1001 bytes do not fit into {asset_folder}/staging"):
        await disk_store.put(unread(), name="a", media_type="text/csv", holder=USER, about=1001)


@pytest.mark.parametrize(
    ("free", "told"),
    [
        (FULL + 1, f"{FULL + 1} are free there, of which {FULL} are kept for other work"),
        (FULL - 1, f"{FULL - 1} are free there, less than the {FULL} kept for other work"),
    ],
    ids=["more than is kept", "less"],
)
async def test_what_is_free_is_compared_with_what_is_kept(
    disk_store: AssetStore, monkeypatch: pytest.MonkeyPatch, free: int, told: str
) -> None:
    monkeypatch.setattr(draft, "_free", lambda _: free)
    with pytest.raises(AssetStoreFull, match=told):
        await disk_store.put(pieces(b"xy"), name="a", media_type="text/csv", holder=USER, about=2)


@pytest.mark.parametrize("about", [None, 1000], ids=["size unknown", "size understated"])
async def test_a_file_that_fills_the_disk_is_given_up_while_others_have_room(
    disk_store: AssetStore, asset_folder: Path, monkeypatch: pytest.MonkeyPatch, about: int | None
) -> None:
    written = 300_000
    monkeypatch.setattr(draft, "LOOK_BYTES", 100_000)
    monkeypatch.setattr(
        draft, "_free", lambda _: FULL + written - sum(file.stat().st_size for file in drafts(asset_folder))
    )

    with pytest.raises(AssetStoreFull):
        await disk_store.put(pieces(CONTENT), name="a", media_type="text/csv", holder=USER, about=about)

    assert blobs(asset_folder) + drafts(asset_folder) == []


async def test_what_was_appended_before_the_disk_was_full_is_still_good(
    disk_store: AssetStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(draft, "LOOK_BYTES", 1000)
    async with disk_store.draft("key") as found:
        await found.append(b"x" * 999)
        monkeypatch.setattr(draft, "_free", lambda _: FULL)
        with pytest.raises(AssetStoreFull):
            await found.append(b"y")
        monkeypatch.undo()
        await found.append(b"z")
        assert await found.read(990, 100) == b"x" * 9 + b"z"


def test_the_command_line_says_how_large_a_file_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TIELINE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr(draft, "_free", lambda _: FULL + 999)
    (tmp_path / "a").write_bytes(b"x" * 1000)

    status = run(["assets", "put", str(tmp_path / "a"), "-o", "json"])

    assert status == 3
    assert json.loads(capsys.readouterr().out)["error"]["message"].startswith("1000 bytes do not fit")
