"""How an integration authenticates: a token source and placements, as presets that a user chooses by `type`."""

from typing import Annotated

from pydantic import Field

from definitions.auth.custom_token import CustomTokenAuth, TokenRequest
from definitions.auth.oauth2 import OAuth2Auth
from definitions.auth.simple import ApiTokenAuth, BasicAuth, NoAuth, SftpAuth

Auth = Annotated[
    OAuth2Auth | ApiTokenAuth | BasicAuth | CustomTokenAuth | SftpAuth | NoAuth, Field(discriminator="type")
]

__all__ = [
    "ApiTokenAuth",
    "Auth",
    "BasicAuth",
    "CustomTokenAuth",
    "NoAuth",
    "OAuth2Auth",
    "SftpAuth",
    "TokenRequest",
]
