"""Terminals, pipes, encodings and Ctrl-C: what only a process of its own can show."""

import asyncio
import json
import os
import pty
import re
import struct
import termios
from collections.abc import Callable
from fcntl import ioctl
from pathlib import Path
from typing import Any

from tests.fixtures.commandline import ENTRY_POINT, Tieline, waiting_run
from tests.fixtures.processes import END_SECONDS, READY_SECONDS
from tests.fixtures.waiting import until

_STYLE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """A command that a person has started: it sees a terminal of 80 columns, and we see what is on the screen."""

    def __init__(self, process: asyncio.subprocess.Process, descriptor: int) -> None:
        self._process = process
        self._descriptor = descriptor
        self.raw = ""
        asyncio.get_running_loop().add_reader(descriptor, self._read)

    @classmethod
    async def start(cls, tieline: Tieline, *arguments: str) -> "Terminal":
        ours, theirs = pty.openpty()
        ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        process = await asyncio.create_subprocess_exec(
            *ENTRY_POINT,
            *arguments,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=tieline.environment_with({"TERM": "xterm"}),
            preexec_fn=_own_terminal,
        )
        os.close(theirs)
        return cls(process, ours)

    @property
    def screen(self) -> str:
        return _STYLE.sub("", self.raw).replace("\r\n", "\n")

    async def shows(self, condition: Callable[[str], bool]) -> None:
        await until(lambda: condition(self.screen), limit=READY_SECONDS)

    def type(self, text: str) -> None:
        os.write(self._descriptor, text.encode())

    async def ended(self) -> int:
        status = await asyncio.wait_for(self._process.wait(), END_SECONDS)
        self._read()
        asyncio.get_running_loop().remove_reader(self._descriptor)
        os.close(self._descriptor)
        return status

    def _read(self) -> None:
        try:
            self.raw += os.read(self._descriptor, 65536).decode(errors="replace")
        except OSError:  # the other side has closed it
            asyncio.get_running_loop().remove_reader(self._descriptor)


def _own_terminal() -> None:
    """Ctrl-C reaches the session whose terminal it is typed at."""
    os.setsid()
    ioctl(0, termios.TIOCSCTTY, 0)


async def test_ctrl_c_while_a_run_waits_leaves_the_run_and_says_how_to_find_it(tieline_up: Tieline) -> None:
    terminal = await Terminal.start(tieline_up, "call", "parcels", "POST", "429:after=60/left", "--json", "{}")
    await terminal.shows(lambda screen: "it will be sent again by itself" in screen)

    terminal.type("\x03")
    status = await terminal.ended()

    assert status == 130
    run_id = re.findall(r"the run goes on: tieline runs result (run-[0-9a-f]{32})", terminal.screen)[0]
    shown = json.loads((await tieline_up("runs", "show", run_id, "-o", "json")).output)
    assert shown["state"] == "waiting_to_retry"
    assert "Traceback" not in terminal.screen


async def test_secrets_are_asked_for_and_not_shown_as_they_are_typed(tieline_up: Tieline) -> None:
    terminal = await Terminal.start(tieline_up, "accounts", "create", "typed", "--integration", "twitter")
    await terminal.shows(lambda screen: "client_id:" in screen)
    terminal.type("hunter2-id\n")
    await terminal.shows(lambda screen: "client_secret:" in screen)
    terminal.type("hunter2-secret\n")

    assert await terminal.ended() == 0
    assert "account typed: created for integration twitter" in terminal.screen
    assert "hunter2" not in terminal.raw


async def test_ctrl_c_at_a_question_stores_nothing(tieline_up: Tieline) -> None:
    terminal = await Terminal.start(tieline_up, "integrations", "set-secrets", "giphy")
    await terminal.shows(lambda screen: "token:" in screen)

    terminal.type("\x03")

    assert await terminal.ended() == 130
    assert terminal.screen.endswith("error: interrupted\n")
    shown = await tieline_up("integrations", "show", "giphy", "-o", "json")
    assert json.loads(shown.output)["shared_secrets"] == []


async def test_an_account_is_deleted_only_after_a_yes(tieline_up: Tieline) -> None:
    await tieline_up("accounts", "create", "unwanted", "--integration", "parcels")
    terminal = await Terminal.start(tieline_up, "accounts", "delete", "unwanted")
    await terminal.shows(lambda screen: "Delete account unwanted and its secrets? [y/N]:" in screen)

    terminal.type("n\n")

    assert await terminal.ended() == 1
    assert "error: account unwanted was not deleted" in terminal.screen
    assert (await tieline_up("accounts", "show", "unwanted")).status == 0


async def test_a_list_fits_80_columns_and_its_short_ids_can_be_typed(tieline_up: Tieline) -> None:
    run_id = await waiting_run(tieline_up, "narrow")
    terminal = await Terminal.start(tieline_up, "runs", "list", "--state", "waiting_for_decision")

    assert await terminal.ended() == 0
    (line,) = [line for line in terminal.screen.splitlines() if "POST parcels/cut/narrow" in line]
    assert line.split()[0] == run_id[:16]
    assert max(map(len, terminal.screen.splitlines())) <= 80
    assert "…" not in terminal.screen
    shown = await tieline_up("runs", "show", line.split()[0], "-o", "json")
    assert json.loads(shown.output)["id"] == run_id


async def test_whole_ids_go_into_a_pipe(tieline_up: Tieline) -> None:
    run_id = await waiting_run(tieline_up, "wide")

    ran = await tieline_up.process("runs", "list", "--state", "waiting_for_decision")

    assert f"{run_id}  waiting for decision  POST parcels/cut/wide · dev" in ran.output


async def test_a_reader_that_has_gone_is_no_error_to_tell(tieline_up: Tieline) -> None:
    reader, writer = os.pipe()
    os.close(reader)

    process = await tieline_up.start("schema", stdout=writer)
    os.close(writer)
    _, errors = await asyncio.wait_for(process.communicate(), READY_SECONDS)

    assert (process.returncode, errors) == (1, b"")


async def test_output_that_finds_no_room_is_told_by_its_name(tieline_up: Tieline, tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *("sh", "-c", 'ulimit -f 0; exec "$@" >"$0"', str(tmp_path / "schema.json"), *ENTRY_POINT, "schema"),
        stderr=asyncio.subprocess.PIPE,
        env=tieline_up.environment_with({"PYTHONDONTWRITEBYTECODE": "1"}),
    )
    _, errors = await asyncio.wait_for(process.communicate(), READY_SECONDS)

    assert process.returncode == 1
    assert errors == b"error: File too large: in the data folder, or where the output goes\n"


async def test_streams_that_the_caller_has_closed_are_no_fault(tieline_up: Tieline) -> None:
    process = await asyncio.create_subprocess_exec(
        *("sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *ENTRY_POINT, "accounts", "list"),
        env=tieline_up.environment_with({}),
    )

    assert await asyncio.wait_for(process.wait(), READY_SECONDS) == 0
    assert b"NAME" not in (tieline_up.folder / "tieline.db").read_bytes()[:100]


async def test_an_encoding_that_lacks_a_character_shows_its_escape_and_json_stays_json(tieline_up: Tieline) -> None:
    run_id = await waiting_run(tieline_up, "ascii")
    ascii_only: dict[str, Any] = {
        "LC_ALL": "C",
        "PYTHONIOENCODING": "ascii",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
    }

    table = await tieline_up.process("runs", "show", run_id, **ascii_only)
    document = await tieline_up.process("runs", "show", run_id, "-o", "json", **ascii_only)

    assert "POST parcels/cut/ascii \\xb7 dev" in table.output
    assert json.loads(document.output)["summary"] == "POST parcels/cut/ascii · dev"


async def test_the_run_is_named_before_it_is_waited_for_so_a_killed_command_loses_nothing(tieline_up: Tieline) -> None:
    process = await tieline_up.start("call", "parcels", "POST", "429:after=60/killed", "-o", "json")
    assert process.stderr is not None
    first = (await asyncio.wait_for(process.stderr.readline(), READY_SECONDS)).decode()

    process.kill()
    await process.communicate()

    shown = await tieline_up("runs", "show", first.split()[0], "-o", "json")
    assert json.loads(shown.output)["state"] in ("running", "waiting_to_retry")
