"""The search attributes by which operators find runs. Temporal keeps them in clear: names only, no customer value."""

from temporalio.common import SearchAttributeKey

ADAPTER = SearchAttributeKey.for_keyword("TielineAdapter")
PROFILE = SearchAttributeKey.for_keyword("TielineProfile")
DEFINITION = SearchAttributeKey.for_keyword("TielineDefinition")
TRIGGER = SearchAttributeKey.for_keyword("TielineTrigger")
STATE = SearchAttributeKey.for_keyword("TielineState")
ACCOUNT = SearchAttributeKey.for_keyword("TielineAccount")

ALL = (ADAPTER, PROFILE, DEFINITION, TRIGGER, STATE, ACCOUNT)
