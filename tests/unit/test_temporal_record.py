"""What a data folder says about its running Temporal server, whoever wrote it."""

from pathlib import Path

import pytest

from runtime.file_lock import try_lock
from runtime.settings import Settings
from runtime.temporal_binary import TemporalServerError
from runtime.temporal_server import find_temporal


@pytest.mark.parametrize("record", ['{"address": "127.0.0.1:7233", "pid": 1}', "{}", "[]", "not JSON", ""])
def test_a_record_that_cannot_be_read_is_none(record: str, tmp_path: Path) -> None:
    folder = tmp_path / "temporal"
    folder.mkdir()
    (folder / "server.json").write_text(record)
    with (folder / "lock").open("a") as lock:
        assert try_lock(lock)
        with pytest.raises(TemporalServerError, match="no Temporal server runs for the data folder"):
            find_temporal(Settings.model_validate({"data_dir": tmp_path}))
