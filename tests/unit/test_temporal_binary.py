"""Every way to Temporal's program, with small programs in the places of the real ones."""

import asyncio
import os
import sys
from pathlib import Path

import psutil
import pytest

from runtime import temporal_binary as module
from runtime.temporal_binary import TEMPORAL, Program, TemporalServerError, go_install, temporal_binary
from tests.fixtures.waiting import until

UNREACHABLE = "http://127.0.0.1:9"


@pytest.fixture
def path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty PATH and cache, and no way to the download host."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HTTPS_PROXY", UNREACHABLE)
    monkeypatch.delenv("TIELINE_TEMPORAL_BINARY", raising=False)
    return folder


def program(file: Path, script: str) -> Path:
    file.write_text(f"#!/bin/sh\nPATH=/bin:/usr/bin\n{script}\n")
    file.chmod(0o755)
    return file


def answering(file: Path, server: str) -> Path:
    return program(file, f'echo "temporal version 1.5.1 (Server {server}, UI 2.42.1)"')


async def test_a_configured_program_goes_before_all_others(path: Path, tmp_path: Path) -> None:
    answering(path / "temporal", "1.29.1")
    configured = answering(tmp_path / "mine", "1.30.0")

    assert await temporal_binary(configured) == configured


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ('echo "temporal version 1.1.0 (Server 1.25.0, UI 2.0)"', r"its server is 1\.25; Tieline needs 1\.28 or newer"),
        ('echo "tempo 2.0"', "does not answer like Temporal's command line program"),
        ('echo "Server 1.29.1"; exit 3', "does not answer like Temporal's command line program"),
    ],
)
async def test_a_configured_program_that_cannot_be_used_is_never_replaced_by_another(
    path: Path, tmp_path: Path, script: str, reason: str
) -> None:
    answering(path / "temporal", "1.29.1")

    with pytest.raises(TemporalServerError, match=rf"^TIELINE_TEMPORAL_BINARY={tmp_path}/mine: .*{reason}"):
        await temporal_binary(program(tmp_path / "mine", script))


async def test_a_configured_program_that_does_not_exist_is_named(path: Path, tmp_path: Path) -> None:
    with pytest.raises(TemporalServerError, match=rf"{tmp_path}/none: No such file"):
        await temporal_binary(tmp_path / "none")


async def test_the_program_in_path_is_used(path: Path) -> None:
    installed = answering(path / "temporal", "1.29.1")

    assert await temporal_binary(None) == installed


async def test_an_old_program_in_path_gives_way_to_the_cache(path: Path) -> None:
    answering(path / "temporal", "1.20.0")
    TEMPORAL.path.parent.mkdir(parents=True)
    answering(TEMPORAL.path, "1.29.1")

    assert await temporal_binary(None) == TEMPORAL.path


async def test_when_nothing_works_the_error_names_every_way_and_what_to_install(path: Path) -> None:
    answering(path / "temporal", "1.20.0")
    program(path / "go", "echo 'go: downloading things' >&2; echo 'dial tcp: no such host' >&2; exit 1")

    with pytest.raises(TemporalServerError) as failed:
        await temporal_binary(None)

    message = str(failed.value)
    assert f"PATH: {path}/temporal: its server is 1.20; Tieline needs 1.28 or newer" in message
    assert "download by the Temporal SDK: temporal.download is not reachable" in message
    assert "go install: dial tcp: no such host" in message
    assert "TIELINE_TEMPORAL_ADDRESS=HOST:PORT" in message
    assert "install Go" in message
    assert os.listdir(TEMPORAL.path.parent) == ["lock"]


async def test_a_machine_without_go_is_told_so(path: Path) -> None:
    with pytest.raises(TemporalServerError, match="no Go toolchain"):
        await temporal_binary(None)


async def test_processes_that_start_at_once_build_once(path: Path, tmp_path: Path) -> None:
    program(path / "go", f'echo "$@" >>{tmp_path}/builds; sleep 0.5; echo "echo Server 1.29.1" >$GOBIN/temporal')
    command = [sys.executable, "-m", "runtime.temporal_binary"]

    processes = [await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.DEVNULL) for _ in range(3)]

    assert [await process.wait() for process in processes] == [0, 0, 0]
    assert (tmp_path / "builds").read_text() == f"install {TEMPORAL.module}@{TEMPORAL.version}\n"
    assert TEMPORAL.path.read_text() == "echo Server 1.29.1\n"


async def test_a_build_that_takes_too_long_is_ended_with_all_its_children(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BUILD_SECONDS", 0.5)
    program(path / "go", f"sleep 600 & echo $! >{tmp_path}/child; wait")

    with pytest.raises(TemporalServerError, match=r"`go install example.com/slow@v1`: not done within 0.5 seconds"):
        await go_install(Program("slow", "example.com/slow", "v1"))

    child = int((tmp_path / "child").read_text())
    await until(lambda: not alive(child))


async def test_a_cache_that_cannot_be_written_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null")

    with pytest.raises(TemporalServerError, match=r"cache folder /dev/null/tieline cannot be used .*XDG_CACHE_HOME"):
        await temporal_binary(None)


def alive(process: int) -> bool:
    try:
        return psutil.Process(process).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
