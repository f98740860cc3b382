"""Fixtures shared by all tests live in tests/fixtures/, one module per real counterpart."""

import gc

import pytest
from hypothesis import settings

settings.register_profile("tieline", deadline=None)  # a busy machine is no fault of the code
settings.load_profile("tieline")

pytest_plugins = [
    "tests.fixtures.http",
    "tests.fixtures.mail",
    "tests.fixtures.databases",
    "tests.fixtures.temporal",
    "tests.fixtures.tieline",
    "tests.fixtures.gateway",
    "tests.fixtures.told",
    "tests.fixtures.commandline",
    "tests.fixtures.token_endpoint",
    "tests.fixtures.authorization_server",
    "tests.fixtures.refreshing",
    "tests.fixtures.sweeping",
    "tests.fixtures.consented",
    "tests.fixtures.parking",
    "tests.fixtures.shop",
    "tests.fixtures.waiting_runs",
    "tests.fixtures.token_processes",
    "tests.fixtures.chromium",
    "tests.fixtures.collector",
    "tests.fixtures.assets",
    "tests.fixtures.s3",
    "tests.fixtures.sshd",
    "tests.fixtures.sftp_runs",
    "tests.fixtures.ssh_connections",
    "tests.fixtures.sftp_attempts",
]


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """What was imported and collected stays: looking through it again and again takes a twelfth of the time."""
    gc.collect()
    gc.freeze()
