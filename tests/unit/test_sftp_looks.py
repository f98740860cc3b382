"""Looking once into a folder that many files go to."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest

from activities import sftp_looks
from activities.sftp_looks import MANY, Looks
from net.sftp_errors import SftpCode, SftpError
from net.sftp_server import RemoteFile


class Folder:
    """A session that holds one folder, and counts how it is asked."""

    def __init__(self, *names: str, fails: SftpCode | None = None) -> None:
        self._names = names
        self._fails = fails
        self.lists = 0
        self.looks: list[str] = []

    async def list(self, path: str) -> AsyncGenerator[RemoteFile, None]:
        self.lists += 1
        if self._fails is not None:
            raise SftpError(self._fails, "no")
        for name in self._names:
            yield RemoteFile(f"{path}/{name}", name, "file", size=1)

    async def lstat(self, path: str) -> RemoteFile | None:
        self.looks.append(path)
        return None


async def prepared(folder: Folder, count: int = MANY) -> Looks:
    session: Any = folder
    looks = Looks(session)
    await looks.prepare(f"in/{index}" for index in range(count))
    return looks


async def test_many_looks_are_one_listing() -> None:
    folder = Folder("a", "b")
    looks = await prepared(folder)

    found = [await looks.lstat(f"in/{name}") for name in "abc"]

    assert [file.name if file else None for file in found] == ["a", "b", None]
    assert (folder.lists, folder.looks) == (1, [])


async def test_a_few_files_are_looked_at_one_by_one() -> None:
    folder = Folder("a")
    looks = await prepared(folder, MANY - 1)

    await looks.lstat("in/a")

    assert (folder.lists, folder.looks) == (0, ["in/a"])


@pytest.mark.parametrize("spelling", ["Report.CSV", "re\u0301sume\u0301"])
async def test_another_spelling_of_a_name_is_looked_at_as_it_may_be_the_same_file(spelling: str) -> None:
    folder = Folder("report.csv", "r\u00e9sum\u00e9")
    looks = await prepared(folder)

    await looks.lstat(f"in/{spelling}")

    assert folder.looks == [f"in/{spelling}"]


async def test_a_folder_that_is_not_there_holds_nothing() -> None:
    folder = Folder(fails="not_found")
    looks = await prepared(folder)

    assert await looks.lstat("in/a") is None
    assert folder.looks == []


async def test_a_folder_that_nobody_may_list_is_looked_into_file_by_file() -> None:
    folder = Folder(fails="permission_denied")
    looks = await prepared(folder)

    await looks.lstat("in/a")

    assert folder.looks == ["in/a"]


async def test_a_folder_that_holds_too_much_is_looked_into_file_by_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sftp_looks, "MAX_ENTRIES", 2)
    folder = Folder(*(f"file{number}" for number in range(sftp_looks.PER_LOOK * MANY + 1)))
    looks = await prepared(folder)

    await looks.lstat("in/a")

    assert folder.looks == ["in/a"]


async def test_a_large_folder_is_listed_where_even_more_would_have_to_be_looked_at() -> None:
    folder = Folder(*(f"file{number}" for number in range(sftp_looks.MAX_ENTRIES + 1)))
    looks = await prepared(folder, sftp_looks.MAX_ENTRIES)

    found = await looks.lstat("in/1")

    assert (found, folder.looks) == (None, [])
    assert not looks.may_hold("in/1")


async def test_a_line_that_breaks_is_told() -> None:
    with pytest.raises(SftpError, match="no"):
        await prepared(Folder(fails="connection_lost"))
