"""Temporal on this machine: one development server per data folder, started with the process that needs it.

Its state is an SQLite file in the data folder, so a server that is started again finds the runs of the one before.
The server holds a lock on the folder for as long as it lives: a second one is refused, and other processes of the
installation find the running one through `find_temporal`.
"""

import asyncio
import contextlib
import errno
import json
import logging
import os
import socket
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

from runtime.file_lock import try_lock
from runtime.local_process import LocalProcess, local_process
from runtime.settings import Settings, unusable_data_dir
from runtime.temporal_binary import TemporalServerError, cache_folder, cache_lock, temporal_binary
from runtime.temporal_namespace import prepare_namespace

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
PREFERRED_PORT = 7233
UI_PORT_OFFSET = 1000
START_SECONDS = 60.0
HANDOVER_SECONDS = 20.0
"""How long a server may take to end after its owner was killed."""

DYNAMIC_CONFIG = {
    # Poll rates: the defaults cost 50 ms a hop, which makes a one-activity run 150 ms instead of 21.
    "history.transferProcessorMaxPollRPS": 1000,
    "history.timerProcessorMaxPollRPS": 1000,
    "history.visibilityProcessorMaxPollRPS": 1000,
    # Limits meant for shared clusters.
    "frontend.rps": 20000,
    "frontend.namespaceRPS": 20000,
    "frontend.namespaceRPS.visibility": 1000,
    "frontend.namespaceCount": 5000,
    # One partition on one host: several, polled by few pollers, give long tails.
    "matching.numTaskqueueReadPartitions": 1,
    "matching.numTaskqueueWritePartitions": 1,
    # Off by default: without it the fairness keys of runs have no effect.
    "matching.enableFairness": True,
}
SQLITE_PRAGMAS = ("journal_mode=WAL", "synchronous=NORMAL")


@dataclass(frozen=True, slots=True)
class TemporalAddress:
    """Where a Temporal server answers. `address` is HOST:PORT, `ui` the web interface's URL where it is known."""

    address: str
    ui: str | None = None


@dataclass(frozen=True, slots=True)
class _Record:
    """What a data folder says about its running server. `owner` is the process that started it."""

    address: str
    ui: str
    owner: int


@contextlib.asynccontextmanager
async def embedded_temporal(settings: Settings, *, codec_endpoint: str | None = None) -> AsyncIterator[TemporalAddress]:
    """The configured server, else one of our own while the body runs; its web interface decodes payloads there.

    It ends with the body, and with this process however that ends.

    Raises:
        TemporalServerError: no program, the folder's server runs already, or the server does not start.
        SettingsError: the data folder cannot be written.
    """
    if settings.temporal_address is not None:
        yield TemporalAddress(settings.temporal_address, settings.temporal_ui)
        return
    binary = await temporal_binary(settings.temporal_binary)
    options = ["--ui-codec-endpoint", codec_endpoint] if codec_endpoint else []
    async with _claimed(settings.data_dir) as lock, _started(binary, settings, lock, options) as record:
        _record_file(settings.data_dir).write_text(json.dumps(asdict(record)))
        yield TemporalAddress(record.address, record.ui)


def find_temporal(settings: Settings) -> TemporalAddress:
    """The configured server, else the one that another process of this installation runs.

    Raises:
        TemporalServerError: there is neither.
    """
    if settings.temporal_address is not None:
        return TemporalAddress(settings.temporal_address, settings.temporal_ui)
    record = _running(settings.data_dir)
    if record is None:
        raise TemporalServerError(
            f"no Temporal server runs for the data folder {settings.data_dir}: start one with `tieline up`, "
            "or set TIELINE_TEMPORAL_ADDRESS=HOST:PORT"
        )
    return TemporalAddress(record.address, record.ui)


@contextlib.asynccontextmanager
async def _started(binary: Path, settings: Settings, lock: TextIO, options: Sequence[str]) -> AsyncIterator[_Record]:
    async with contextlib.AsyncExitStack() as stack:
        # One start at a time: two that choose the same port would both be answered by the first.
        async with cache_lock(cache_folder() / "starting.lock"):
            for attempt in range(3):
                record, server = await _launched(stack, binary, settings, lock, options, again=attempt > 0)
                try:
                    await ready(server, record.address, settings.temporal_namespace)
                    break
                except TemporalServerError:
                    # Another program may take a port between our choosing and using it.
                    if attempt == 2 or os.strerror(errno.EADDRINUSE).lower() not in server.output():
                        raise
        log.info("Temporal runs at %s, its web interface at %s", record.address, record.ui)
        yield record


async def _launched(
    stack: contextlib.AsyncExitStack,
    binary: Path,
    settings: Settings,
    lock: TextIO,
    options: Sequence[str],
    *,
    again: bool,
) -> tuple[_Record, LocalProcess]:
    folder = _folder(settings.data_dir)
    port = _port(settings.temporal_port, again=again)
    ui_port = _free_port(port + UI_PORT_OFFSET)
    command = [*_command(binary, folder, settings.temporal_namespace, port, ui_port), *options]
    server = await stack.enter_async_context(local_process(command, folder / "server.log", keep_open=[lock.fileno()]))
    return _Record(f"{HOST}:{port}", f"http://{HOST}:{ui_port}", os.getpid()), server


async def ready(server: LocalProcess, address: str, namespace: str) -> None:
    """Wait until a Temporal server that was just started can take runs.

    Raises:
        TemporalServerError: it ends, or takes too long; the message holds the end of its log.
    """

    def still_starting() -> None:
        if server.ended:
            raise TemporalServerError(f"the Temporal server ended while starting:\n{server.tail()}")

    try:
        await prepare_namespace(address, namespace, limit=START_SECONDS, still_starting=still_starting)
    except TimeoutError as error:
        raise TemporalServerError(
            f"the Temporal server at {address} is not ready after {START_SECONDS:g} seconds ({error}):\n{server.tail()}"
        ) from None


def _command(binary: Path, folder: Path, namespace: str, port: int, ui_port: int) -> list[str]:
    command = [str(binary), "server", "start-dev", "--namespace", namespace, "--ip", HOST]
    command += ["--port", str(port), "--ui-port", str(ui_port), "--db-filename", str(folder / "temporal.db")]
    for pragma in SQLITE_PRAGMAS:
        command += ["--sqlite-pragma", pragma]
    for key, value in DYNAMIC_CONFIG.items():
        command += ["--dynamic-config-value", f"{key}={json.dumps(value)}"]
    return command


@contextlib.asynccontextmanager
async def _claimed(data_dir: Path) -> AsyncIterator[TextIO]:
    """The folder's lock, passed on to the server: it is free again when the last of us has ended."""
    with _lock_file(data_dir) as lock:
        deadline = asyncio.get_running_loop().time() + HANDOVER_SECONDS
        while not try_lock(lock):
            record = _read(data_dir)
            if record is not None and _lives(record.owner):
                raise _taken(data_dir, record)
            if asyncio.get_running_loop().time() > deadline:
                raise _taken(data_dir, record)
            await asyncio.sleep(0.1)
        _record_file(data_dir).unlink(missing_ok=True)
        yield lock


def _lock_file(data_dir: Path) -> TextIO:
    try:
        _folder(data_dir).mkdir(parents=True, exist_ok=True, mode=0o700)
        return (_folder(data_dir) / "lock").open("a")
    except OSError as error:
        raise unusable_data_dir(data_dir, error) from None


def _taken(data_dir: Path, record: _Record | None) -> TemporalServerError:
    if record is None:
        return TemporalServerError(f"another process is starting Temporal in the data folder {data_dir}: try again")
    return TemporalServerError(
        f"Temporal already runs for the data folder {data_dir} (process {record.owner}, {record.address}): stop it, "
        f"set TIELINE_TEMPORAL_ADDRESS={record.address} to share it, or choose another TIELINE_DATA_DIR"
    )


def _running(data_dir: Path) -> _Record | None:
    try:
        with (_folder(data_dir) / "lock").open("a") as lock:
            return None if try_lock(lock, shared=True) else _read(data_dir)
    except FileNotFoundError:
        return None


def _read(data_dir: Path) -> _Record | None:
    try:
        return _Record(**json.loads(_record_file(data_dir).read_text()))
    except (FileNotFoundError, ValueError, TypeError):  # TypeError: written by another version, with other fields
        return None


def _folder(data_dir: Path) -> Path:
    return data_dir / "temporal"


def _record_file(data_dir: Path) -> Path:
    return _folder(data_dir) / "server.json"


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _port(configured: int | None, *, again: bool) -> int:
    if configured is None:
        return _free_port(None if again else PREFERRED_PORT)
    if not again and _is_free(configured):
        return configured
    raise TemporalServerError(
        f"port {configured} is taken: set TIELINE_TEMPORAL_PORT to a free one, or unset it and one is chosen"
    )


def _free_port(preferred: int | None) -> int:
    if preferred is not None and preferred < 65536 and _is_free(preferred):
        return preferred
    with socket.socket() as any_port:
        any_port.bind((HOST, 0))
        port: int = any_port.getsockname()[1]
        return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        if probe.connect_ex((HOST, port)) == 0:
            return False
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
