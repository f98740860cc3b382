"""Fingerprints of host keys, as people paste them."""

from pathlib import Path

import pytest

from auth.host_key_lines import HostKeyError
from definitions.integration import Integration
from runtime.host_keys import keys_meant
from runtime.settings import Settings

INTEGRATION = Integration.model_validate(
    {
        "kind": "integration",
        "key": "files",
        "name": "Files",
        "base_url": "sftp://files.example",
        "auth": {"type": "sftp", "host_key": "pinned"},
    }
)


@pytest.mark.parametrize("given", ["SHA256:nonsense", f"SHA256:{'A' * 42}", f"SHA256:{'A' * 44}", f"SHA256:{'-' * 43}"])
async def test_what_is_no_fingerprint_is_refused_before_the_server_is_asked(given: str, tmp_path: Path) -> None:
    with pytest.raises(HostKeyError, match="is no SHA-256 fingerprint: SHA256: and 43 characters of base64"):
        await keys_meant(Settings(data_dir=tmp_path), INTEGRATION, {}, [given])
