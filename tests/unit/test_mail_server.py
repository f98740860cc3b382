"""URLs of mail servers, and addresses of people: what they mean, and what is refused without being repeated."""

import pytest

from net.mail_server import MailServer, read_mail_address


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("smtps://mail.example", MailServer("smtps", "mail.example", 465, "tls")),
        ("smtp://mail.example", MailServer("smtp", "mail.example", 587, "starttls")),
        ("smtp+plain://relay", MailServer("smtp+plain", "relay", 25, "none")),
        ("SMTPS://Mail.Example:2465/", MailServer("smtps", "mail.example", 2465, "tls")),
        ("smtp://[fd00::5]:25", MailServer("smtp", "fd00::5", 25, "starttls")),
        ("smtp://me%40there:p%2F%40%3A@mail", MailServer("smtp", "mail", 587, "starttls", "me@there", "p/@:")),
        ("smtp+plain://a:b@localhost", MailServer("smtp+plain", "localhost", 25, "none", "a", "b")),
        ("smtp+plain://a:b@127.0.0.9", MailServer("smtp+plain", "127.0.0.9", 25, "none", "a", "b")),
    ],
)
def test_a_url_says_where_and_how(url: str, server: MailServer) -> None:
    assert MailServer.parse(url) == server


def test_a_password_may_stand_apart_and_is_taken_as_it_is() -> None:
    assert MailServer.parse("smtps://me@mail", "p%41ss").password == "p%41ss"


@pytest.mark.parametrize(
    "url",
    [
        "mail.example:587",
        "https://hunter2@mail",
        "smtp://",
        "smtp://hunter2@",
        "smtp://mail:0",
        "smtp://mail:99999",
        "smtp://mail:hunter2",
        "smtp://mail/hunter2",
        "smtp://mail?hunter2",
        "smtp://mail#hunter2",
        "smtp://a b/hunter2",
        "smtp://a@hunter2@b/x",
    ],
)
def test_what_is_no_such_url_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(ValueError, match=r"^expected smtps://HOST, smtp://HOST or smtp\+plain://HOST") as refused:
        MailServer.parse(url)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "password", "message"),
    [
        ("smtps://me:hunter2@mail", "hunter3", "keep one of them"),
        ("smtps://mail", "hunter2", "belong together"),
        ("smtps://me@mail", None, "belong together"),
        ("smtps://:hunter2@mail", None, "belong together"),
        ("smtp+plain://me:hunter2@mail", None, "in clear"),
        ("smtp+plain://me:hunter2@10.0.0.1", None, "in clear"),
        ("smtp+plain://me:hunter2@localhost.example", None, "in clear"),
    ],
)
def test_what_does_not_go_together_is_refused(url: str, password: str | None, message: str) -> None:
    with pytest.raises(ValueError, match=message) as refused:
        MailServer.parse(url, password)
    assert "hunter" not in str(refused.value)


def test_neither_form_of_a_server_shows_its_password() -> None:
    server = MailServer.parse("smtps://me:hunter2@mail")
    assert "hunter2" not in f"{server} {server!r}"


@pytest.mark.parametrize("address", ["ops@example.com", "a.b+c@x", "o'neil@mail.example.com"])
def test_an_address_is_one(address: str) -> None:
    assert read_mail_address(address) == address


@pytest.mark.parametrize(
    "address",
    [
        "ops",
        "@example.com",
        "ops@",
        "Ops <ops@example.com>",
        "a@b@c",
        "a..b@c",
        ".a@c",
        "a.@c",
        "a@b..c",
        "a@b\r\nBcc: c@d",
        "a@b\n",
        "a b@c",
        "ä@example.com",
        '"a"@c',
    ],
)
def test_what_is_no_plain_address_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match=r"^expected addresses such as ops@example\.com"):
        read_mail_address(address)
