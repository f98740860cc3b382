"""Where does Temporal's own program come from? Configured, found, downloaded or built; built once per user.

The pinned version is the newest that `go install` can build: later tags have a relative `replace` in their go.mod.
"""

import asyncio
import contextlib
import logging
import os
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from runtime import temporal_download
from runtime.file_lock import locked

log = logging.getLogger(__name__)

OLDEST_SERVER = (1, 28)
"""Update-with-start and fairness need it."""

VERSION_SECONDS = 15.0
DOWNLOAD_SECONDS = 180.0
BUILD_SECONDS = 1800.0


class TemporalServerError(Exception):
    """There is no Temporal server; the message says what was tried and what to do."""


class _Unavailable(Exception):
    """One way to the program failed; the message is the reason."""


@dataclass(frozen=True, slots=True)
class Program:
    """A Go program, pinned. `name` is its folder in the cache."""

    name: str
    module: str
    version: str

    @property
    def path(self) -> Path:
        return cache_folder() / self.name / self.version / self.module.rpartition("/")[2]


TEMPORAL = Program("temporal", "github.com/temporalio/cli/cmd/temporal", "v1.5.1")


def cache_folder() -> Path:
    """What this user's installations of Tieline share and can make again.

    Raises:
        TemporalServerError: the user has no home.
    """
    if said := os.environ.get("XDG_CACHE_HOME"):
        return Path(said) / "tieline"
    usual = Path("~/Library/Caches" if sys.platform == "darwin" else "~/.cache")
    try:
        return usual.expanduser() / "tieline"
    except RuntimeError:
        raise TemporalServerError("this user has no home folder to cache in: set XDG_CACHE_HOME") from None


@contextlib.asynccontextmanager
async def cache_lock(path: Path, *, on_wait: Callable[[], None] = lambda: None) -> AsyncIterator[None]:
    """Hold a lock file of the cache.

    Raises:
        TemporalServerError: the cache cannot be written.
    """
    async with contextlib.AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(locked(path, on_wait=on_wait))
        except OSError as error:
            raise TemporalServerError(
                f"the cache folder {cache_folder()} cannot be used ({error.strerror}): "
                "set XDG_CACHE_HOME to one that can"
            ) from None
        yield


async def temporal_binary(configured: Path | None) -> Path:
    """The program, got in the first way that works.

    Raises:
        TemporalServerError: none does; the message names each way and why it failed.
    """
    if configured is not None:
        return await _configured(configured)
    tried: list[str] = []
    found = shutil.which("temporal")
    if found is None:
        tried.append("PATH: no program `temporal`")
    else:
        try:
            return await _checked(Path(found))
        except _Unavailable as reason:
            tried.append(f"PATH: {found}: {reason}")
    return await _cached(tried)


async def go_install(program: Program) -> Path:
    """A Go program from the cache, built on first use.

    Raises:
        TemporalServerError: it cannot be built.
    """
    try:
        async with _alone(program):
            if not program.path.exists():
                await _build(program)
            return program.path
    except _Unavailable as reason:
        raise TemporalServerError(f"`go install {program.module}@{program.version}`: {reason}") from None


async def sdk_download(program: Program) -> Path:
    """Temporal's program from the cache, downloaded by the SDK on first use. Version `default` is the SDK's choice.

    Raises:
        TemporalServerError: it cannot be downloaded.
    """
    try:
        async with _alone(program):
            if not program.path.exists():
                await _download(program)
            return program.path
    except _Unavailable as reason:
        raise TemporalServerError(f"download of {program.name} {program.version}: {reason}") from None


async def _configured(path: Path) -> Path:
    try:
        return await _checked(path)
    except _Unavailable as reason:
        raise TemporalServerError(
            f"TIELINE_TEMPORAL_BINARY={path}: {reason}; correct it, or unset it: Tieline then looks for the program"
        ) from None


async def _cached(tried: list[str]) -> Path:
    async with _alone(TEMPORAL):
        if TEMPORAL.path.exists():
            return TEMPORAL.path
        for name, way in (("download by the Temporal SDK", _download), ("go install", _build)):
            try:
                await way(TEMPORAL)
                return TEMPORAL.path
            except _Unavailable as reason:
                tried.append(f"{name}: {reason}")
    attempts = "\n".join(f"  - {attempt}" for attempt in tried)
    raise TemporalServerError(
        f"no Temporal server could be found or made:\n{attempts}\n"
        "Do one of these:\n"
        "  - set TIELINE_TEMPORAL_ADDRESS=HOST:PORT to use a server that runs already\n"
        f"  - install Temporal's command line program (https://docs.temporal.io/cli), server {_dotted(OLDEST_SERVER)} "
        "or newer, into PATH, or name it in TIELINE_TEMPORAL_BINARY\n"
        f"  - allow access to https://{temporal_download.HOST}\n"
        "  - install Go (https://go.dev/doc/install): Tieline then builds the program once, in a few minutes"
    )


async def _checked(path: Path) -> Path:
    status, output = await _run([str(path), "--version"], limit=VERSION_SECONDS)
    version = re.search(r"Server (\d+)\.(\d+)", output)
    if status or not version:
        raise _Unavailable("`--version` does not answer like Temporal's command line program")
    server = int(version[1]), int(version[2])
    if server < OLDEST_SERVER:
        raise _Unavailable(f"its server is {_dotted(server)}; Tieline needs {_dotted(OLDEST_SERVER)} or newer")
    return path


async def _download(program: Program) -> None:
    with _staging(program) as staging:
        log.info("downloading Temporal %s, once per user", program.version)
        script = [sys.executable, "-I", temporal_download.__file__, str(staging), program.version]
        status, output = await _run(script, limit=DOWNLOAD_SECONDS)
        files = [file for file in staging.iterdir() if os.access(file, os.X_OK)]
        if status or len(files) != 1:
            raise _Unavailable(_last_line(output))
        files[0].replace(program.path)


async def _build(program: Program) -> None:
    go = shutil.which("go")
    if go is None:
        raise _Unavailable("no Go toolchain: `go` is not in PATH")
    with _staging(program) as staging:
        log.info("building %s %s with Go, once per user: a few minutes", program.name, program.version)
        environment = {**os.environ, "GOBIN": str(staging)}
        command = [go, "install", f"{program.module}@{program.version}"]
        status, output = await _run(command, limit=BUILD_SECONDS, environment=environment, folder=staging)
        if status:
            raise _Unavailable(_last_line(output))
        (staging / program.path.name).replace(program.path)


@contextlib.asynccontextmanager
async def _alone(program: Program) -> AsyncIterator[None]:
    """One process at a time gets a program; the others wait and find it."""

    def waiting() -> None:
        log.info("another process is getting %s %s: waiting for it", program.name, program.version)

    async with cache_lock(program.path.parent / "lock", on_wait=waiting):
        yield


@contextlib.contextmanager
def _staging(program: Program) -> Iterator[Path]:
    for left_over in program.path.parent.glob("staging-*"):
        shutil.rmtree(left_over, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="staging-", dir=program.path.parent) as folder:
        yield Path(folder)


async def _run(
    command: Sequence[str], *, limit: float, environment: Mapping[str, str] | None = None, folder: Path | None = None
) -> tuple[int, str]:
    """Exit status and output; a program that does not end within `limit` seconds is killed with all its children."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            env=environment,
            cwd=folder,
        )
    except OSError as error:
        raise _Unavailable(error.strerror or str(error)) from None
    try:
        async with asyncio.timeout(limit):
            output, _ = await process.communicate()
    except TimeoutError:
        raise _Unavailable(f"not done within {limit:g} seconds") from None
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    return process.returncode or 0, output.decode(errors="replace")


def _last_line(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1][:500] if lines else "it failed without a message"


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))


def main() -> int:
    """Get the program now, so that nothing waits for it later."""
    logging.basicConfig(level=logging.INFO, format="setup: %(message)s")
    configured = os.environ.get("TIELINE_TEMPORAL_BINARY")
    try:
        asyncio.run(temporal_binary(Path(configured) if configured else None))
    except TemporalServerError as error:
        print(f"setup: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
