"""What Tieline answers while a server lets it in: who it is, each secret at most once, and which key it saw."""

from collections.abc import Sequence

import asyncssh

from net.sftp_server import SftpServer

_PASSWORD_WORDS = ("pass", "pwd", "kennwort", "contrase", "senha", "wachtwoord", "lösen", "parol", "hasło", "密码")
"""In prompts: English, French and German `pass…`, and the word of languages that have another."""


class Login(asyncssh.SSHClient):
    """One login. Afterwards `presented` is the host key that was not trusted, and `began` tells how far it came."""

    def __init__(self, server: SftpServer, key: asyncssh.SSHKeyPair | None) -> None:
        self._password = server.password
        self._key = key
        self.presented: asyncssh.SSHKey | None = None
        self.connected = False
        self.began = False

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        self.connected = True

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        """Asked only about a key that is not trusted."""
        self.presented = key
        return False

    def begin_auth(self, username: str) -> None:
        self.began = True

    def public_key_auth_requested(self) -> list[asyncssh.SSHKeyPair] | None:
        key, self._key = self._key, None
        return None if key is None else [key]

    def password_auth_requested(self) -> str | None:
        """Once, by whichever method asks first: a wrong password sent twice counts twice towards a lockout."""
        password, self._password = self._password, None
        return password

    def kbdint_auth_requested(self) -> str | None:
        return None if self._password is None else ""

    def kbdint_challenge_received(
        self, name: str, instructions: str, lang: str, prompts: Sequence[tuple[str, bool]]
    ) -> list[str] | None:
        """The password for a prompt that asks for just that, nothing for a message, and else no answer at all."""
        if not prompts:
            return []
        if len(prompts) > 1 or not _asks_for_password(*prompts[0]):
            return None
        password = self.password_auth_requested()
        return None if password is None else [password]


def login_methods(server: SftpServer) -> list[str]:
    """The methods for which the account holds something."""
    methods = ["publickey"] if server.private_key else []
    return methods + (["password", "keyboard-interactive"] if server.password is not None else [])


def _asks_for_password(prompt: str, echo: bool) -> bool:
    return not echo and any(word in prompt.lower() for word in _PASSWORD_WORDS)
