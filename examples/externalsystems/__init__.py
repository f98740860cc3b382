"""Other people's systems, played by one real HTTP service and one real SFTP server on loopback.

`twitter` (OAuth 2.0 client credentials), `giphy` (a key in the query), `crm` (Basic), `bank` (two requests to a token,
idempotency keys) behave well; `flaky` fails by script. A ledger remembers what each was asked and what had an effect.
`warehouse` is the SFTP server.
"""

from examples.externalsystems.ledger import Entry, Ledger
from examples.externalsystems.server import Systems, serve

__all__ = ["Entry", "Ledger", "Systems", "serve"]
