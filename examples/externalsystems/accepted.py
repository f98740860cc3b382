"""Every secret that the systems accept: obviously fake, and all the same on every machine.

What the systems issue themselves begins with `demo-token-` or `demo-session-`.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Tenant:
    """One customer of a system. Its answers name the `account`; `secrets` go by the fields that a vault asks for."""

    account: str
    secrets: Mapping[str, str]


Tenants = Mapping[str, Tenant]
"""By profile: `dev` and `production`."""

TWITTER: Tenants = {
    "dev": Tenant(
        "tieline_dev",
        {"client_id": "demo-twitter-dev-client", "client_secret": "demo-twitter-dev-secret"},
    ),
    "production": Tenant(
        "tieline",
        {"client_id": "demo-twitter-production-client", "client_secret": "demo-twitter-production-secret"},
    ),
}

GIPHY: Tenants = {
    "dev": Tenant("giphy-sandbox", {"token": "demo-giphy-dev-key"}),
    "production": Tenant("giphy-live", {"token": "demo-giphy-production-key"}),
}

# RFC 7617 §2: a password may hold colons, the user name may not.
CRM: Tenants = {
    "dev": Tenant("sales-sandbox", {"username": "demo-crm-dev", "password": "demo-crm-dev-password"}),
    "production": Tenant("sales", {"username": "demo-crm-production", "password": "demo-crm:production:password"}),
}

# Quotes, because this password travels in JSON.
BANK: Tenants = {
    "dev": Tenant("bank-sandbox", {"username": "demo-bank-dev", "password": "demo-bank-dev-password"}),
    "production": Tenant(
        "bank-live", {"username": "demo-bank-production", "password": 'demo-bank-"production"-password'}
    ),
}

SYSTEMS: Mapping[str, Tenants] = {"twitter": TWITTER, "giphy": GIPHY, "crm": CRM, "bank": BANK}
"""By integration key."""

WAREHOUSE_USER, WAREHOUSE_PASSWORD = "demo-warehouse", "demo-warehouse-password"
"""Of the SFTP server, which takes a key in place of the password, too."""

ISSUED_PREFIXES = ("demo-token-", "demo-session-")


def tenant_with(tenants: Tenants, **secrets: str) -> Tenant | None:
    """The tenant that has exactly these secrets."""
    return next((tenant for tenant in tenants.values() if dict(tenant.secrets) == secrets), None)
