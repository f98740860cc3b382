"""What an integration's addresses say of themselves."""

from definitions.inputs import literal_ports
from definitions.integration import Integration


def test_the_ports_of_an_integration_are_those_that_its_own_addresses_name() -> None:
    token = {"endpoint": "https://{login}/token"}
    integration = Integration.model_validate(
        {
            "kind": "integration",
            "key": "crm",
            "name": "CRM",
            "base_url": "https://{server}:8443/v1",
            "parameters": {"server": {"pattern": ".+"}, "login": {"pattern": ".+"}},
            "auth": {
                "type": "oauth2",
                "grant": "client_credentials",
                "token": token,
                "refresh": {"endpoint": "https://login.example:9443/refresh"},
            },
        }
    )

    assert literal_ports(integration) == {8443, 9443}
