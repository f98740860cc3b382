"""What is told of a file that was sent."""

import pytest

from cli.sftp_answer import tell_beside
from definitions.sftp import Transferred


@pytest.mark.parametrize(
    ("marker", "told"),
    [
        ("{name}.done", "in/a.csv.done"),
        ("done/{name}", "done/a.csv"),
        ("{region}.done", "in/{region}.done"),
        ("ready", "in/ready"),
    ],
)
def test_a_marker_is_told_by_the_name_that_it_has(marker: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    tell_beside([Transferred(path="in/a.csv", bytes=1)], checksum=False, marker=marker)

    assert capsys.readouterr().err == f"in/a.csv: its marker {told}\n"


def test_nothing_is_told_beside_a_file_that_was_there(capsys: pytest.CaptureFixture[str]) -> None:
    tell_beside([Transferred(path="a.csv", bytes=1, skipped=True)], checksum=True, marker="{name}.done")

    assert capsys.readouterr().err == ""
