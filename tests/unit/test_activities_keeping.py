"""What an answer that becomes an asset is called."""

import pytest

from activities.keeping import name_of
from net.redaction import LIVE_SECRETS, MASK


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ('attachment; filename="orders.csv"', "orders.csv"),
        ("attachment; filename=orders.csv", "orders.csv"),
        ('attachment; filename="a \\"b\\" c.csv"; size=3', 'a "b" c.csv'),
        ("attachment; filename*=UTF-8''%e2%82%ac%20rates.csv", "\u20ac rates.csv"),
        ("attachment; filename=plain.csv; filename*=utf-8'de'best%C3%A4nde.csv", "best\u00e4nde.csv"),
        ('attachment; filename="../../etc/passwd"', "passwd"),
        ("attachment; filename*=UTF-8''..%2F..%2Fetc%2Fpasswd", "passwd"),
        ('attachment; filename="C:\\\\temp\\\\a.csv"', "a.csv"),
        ("attachment; filename*=UTF-8''a%00b", "report 1.csv"),
        ('attachment; filename=".."', "report 1.csv"),
        ('attachment; filename=""', "report 1.csv"),
        ("attachment; filename=" + "a" * 300, "report 1.csv"),
        ("inline", "report 1.csv"),
        (None, "report 1.csv"),
    ],
)
def test_an_asset_has_the_name_that_the_provider_gives_it_or_that_of_the_path(
    disposition: str | None, name: str
) -> None:
    assert name_of(disposition, "files/report%201.csv?version=2") == name


@pytest.mark.parametrize("path", ["", "/", "files/..", "?a=b"])
def test_an_answer_without_a_name_is_called_so(path: str) -> None:
    assert name_of(None, path) == "answer"


def test_a_secret_is_no_part_of_a_name() -> None:
    LIVE_SECRETS.add("planted-secret-77")

    assert name_of("attachment; filename=planted-secret-77.csv", "x") == f"{MASK}.csv"
