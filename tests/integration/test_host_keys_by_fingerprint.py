"""Fingerprints in place of keys, of which a real server is asked for the whole."""

from pathlib import Path

import pytest

from auth.host_key_lines import checked_lines, fingerprint
from definitions.auth.simple import HostKeyPolicy
from definitions.integration import Integration
from runtime.host_keys import keys_meant
from runtime.settings import Settings
from tests.fixtures.sshd import Sshd


@pytest.mark.parametrize(
    ("policy", "expected"),
    [("pinned", "{key}"), ("confirm_first", "{key}"), ("known_hosts", "{line}")],
    ids=["pinned", "confirm_first", "known_hosts"],
)
async def test_a_fingerprint_becomes_what_the_policy_trusts(
    sshd: Sshd, tmp_path: Path, policy: str, expected: str
) -> None:
    auth = {"type": "sftp", "host_key": policy}
    integration = Integration.model_validate(
        {"kind": "integration", "key": "files", "name": "Files", "base_url": f"sftp://{sshd.place}", "auth": auth}
    )
    settings = Settings(data_dir=tmp_path, egress_allow=[sshd.place])

    meant = await keys_meant(settings, integration, {}, [fingerprint(sshd.public_key())])

    assert meant == [expected.format(key=sshd.public_key(), line=sshd.known_hosts())]
    assert checked_lines(HostKeyPolicy(policy), meant) == meant
