"""Fixtures shared by all tests live in tests/fixtures/, one module per real counterpart."""

pytest_plugins = [
    "tests.fixtures.http",
    "tests.fixtures.databases",
    "tests.fixtures.temporal",
    "tests.fixtures.tieline",
    "tests.fixtures.token_endpoint",
    "tests.fixtures.authorization_server",
    "tests.fixtures.refreshing",
    "tests.fixtures.consented",
    "tests.fixtures.token_processes",
    "tests.fixtures.collector",
]
