"""Fixtures shared by all tests live in tests/fixtures/, one module per real counterpart."""

pytest_plugins = [
    "tests.fixtures.http",
    "tests.fixtures.databases",
    "tests.fixtures.temporal",
    "tests.fixtures.tieline",
    "tests.fixtures.told",
    "tests.fixtures.token_endpoint",
    "tests.fixtures.refreshing",
    "tests.fixtures.sweeping",
    "tests.fixtures.collector",
]
