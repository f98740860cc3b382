"""Where calls to other people's systems may go."""

from net.egress import AllowRule, EgressPolicy
from runtime.own_services import own_services
from runtime.settings import Settings


async def egress_policy(settings: Settings) -> EgressPolicy:
    """As the operator says; never to the installation itself."""
    allowed = [AllowRule.parse(rule) for rule in settings.egress_allow]
    return EgressPolicy(allowed, own=await own_services(settings))
