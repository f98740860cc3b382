"""What the demo shows, in the order in which a newcomer would meet it."""

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from examples.demo.commands import ROOT, CommandLine, Outcome
from examples.demo.narration import Narrator
from examples.externalsystems import Systems
from examples.externalsystems.accepted import ISSUED_PREFIXES, SYSTEMS, WAREHOUSE_PASSWORD

PROFILES = ("dev", "production")
DEFINITIONS = Path("examples/demo/definitions")
"""As a reader would type it, in the checkout."""


class Story:
    """One telling, against systems that are being served, through a Tieline that is up."""

    def __init__(self, narrator: Narrator, tieline: CommandLine, systems: Systems) -> None:
        self._narrator = narrator
        self._tieline = tieline
        self._systems = systems

    async def tell(self) -> None:
        """All chapters but the last."""
        await self.definitions()
        await self.accounts()
        await self.calls()
        await self.profiles()
        await self.bad_days()
        await self.a_lost_answer()

    async def definitions(self) -> None:
        """Publish how to talk to each system."""
        self._narrator.chapter(
            "How to talk to a system",
            "An integration is a file: base URL, authentication, where the credential goes on a request.",
        )
        with self._narrator.step("A mistake is found before anything is published"):
            with tempfile.TemporaryDirectory() as folder:
                outcome = await self._tieline("validate", str(_misspelt(Path(folder))))
            self._expect_status(outcome, 2)
            self._narrator.expect("the message names the right word", "{token}" in outcome.output)
        with self._narrator.step("Apply the definitions"):
            files = [str(DEFINITIONS / f"{name}.yaml") for name in ("bank", "crm", "flaky", "giphy", "twitter")]
            outcome = await self._tieline("apply", *files)
            self._expect_status(outcome, 0)
            self._narrator.expect("six integrations were created", outcome.output.count(": created"), 6)

    async def accounts(self) -> None:
        """Connect accounts."""
        self._narrator.chapter(
            "Connected accounts",
            "Parameters are given in clear. Secrets come from the environment, a file, standard input or a prompt; "
            "they are encrypted at once and never shown again. A profile is an environment; it binds the names that "
            "apps use (adapters) to connected accounts.",
        )
        with self._narrator.step("Create an account for each system and environment"):
            outcomes = await self._tieline.each([*self._with_secrets(), *self._without_secrets()])
            self._narrator.expect("every account was created", [outcome.status for outcome in outcomes], [0] * 10)
        with self._narrator.step("Try one: the integration's own test call, through the same path as every run"):
            self._expect_status(await self._tieline("accounts", "test", "twitter-production"), 0)
        with self._narrator.step("Look at it"):
            outcome = await self._tieline("accounts", "show", "twitter-production")
            self._narrator.expect("no secret is shown", self._leaks([outcome.output]), [])
        with self._narrator.step("Bind the accounts in two profiles"):
            outcome = await self._tieline("apply", str(DEFINITIONS / "profiles.yaml"))
            self._expect_status(outcome, 0)
            self._narrator.expect("two profiles were created", outcome.output.count(": created"), 2)

    async def calls(self) -> None:
        """Query and push through every kind of authentication."""
        self._narrator.chapter(
            "Calls",
            "An app names an adapter and a profile. The credential is resolved when the call is made: a token is "
            "fetched, a key goes into the URL, a session is exchanged. Every call is a durable run with a history.",
        )
        production = ("--profile", "production")
        with self._narrator.step("OAuth 2.0 client credentials: search tweets, post one"):
            await self._call(200, "social", "GET", "2/tweets/search?query=hello", *production)
            await self._call(201, "social", "POST", "2/tweets", "--json", '{"text": "Tieline is up"}', *production)
            self._expect_effects("tweets posted", "Tieline is up", 1)
            tokens = self._systems.ledger.requests("/twitter/oauth2/token", account="tieline")
            # One for the account's test, whose token the worker then found in the vault.
            self._narrator.expect("one token request for the test and both calls", len(tokens), 1)
        with self._narrator.step("A key in the URL: search GIFs, and keep a part of the answer"):
            await self._call(200, "gifs", "GET", "v1/gifs/search", "--query", "q=cat", "--extract", "data[].url")
        with self._narrator.step("HTTP Basic: create a lead, list leads"):
            lead = '{"name": "Ada", "email": "ada@example.com"}'
            await self._call(201, "crm", "POST", "leads", "--json", lead, *production)
            await self._call(200, "crm", "GET", "leads", *production)
            self._expect_effects("leads created", "ada@example.com", 1)
        with self._narrator.step("A custom token (log in, then exchange): see the balance, transfer with a key"):
            await self._call(200, "bank", "GET", "accounts", *production)
            order = ("--json", '{"amount": 4200, "reference": "invoice-7"}', "--key", "invoice-7", *production)
            first = await self._call(201, "bank", "POST", "transfers", *order)
            again = await self._call(201, "bank", "POST", "transfers", *order)
            self._narrator.expect("the second call with this key finds the first run", again.run, first.run)
            self._expect_effects("transfers made", "invoice-7", 1)

    async def profiles(self) -> None:
        """The same call in another environment."""
        self._narrator.chapter(
            "Profiles", "The app's call stays the same; the profile decides whose account is used, at every call anew."
        )
        with self._narrator.step("The same query under dev and under production"):
            for profile, account in (("dev", "tieline_dev"), ("production", "tieline")):
                search = ("social", "GET", "2/tweets/search?query=hello", "--extract", "account")
                outcome = await self._call(200, *search, "--profile", profile)
                self._narrator.expect(f"{profile} asks as {account}", outcome.output.splitlines()[-1], f'"{account}"')
        with self._narrator.step("Bind another adapter to production, without a file and without a restart"):
            self._expect_status(await self._tieline("profiles", "set", "production", "parcels", "flaky"), 0)
            await self._call(200, "parcels", "GET", "ok/hello", "--profile", "production")

    async def bad_days(self) -> None:
        """What is safe to retry is retried."""
        self._narrator.chapter(
            "Bad days",
            "The system behind `parcels` fails by script. What surely was not done is sent again by itself, "
            "for hours if need be, also when the worker is restarted meanwhile.",
        )
        with self._narrator.step("Two answers 503, then success: delivered once"):
            await self._call(200, "keyed-parcels", "POST", "503x2/books", "--json", '{"to": "Ada"}')
            self._expect_requests("503x2/books", 3)
            self._expect_effects("parcels delivered", "books", 1)
        with self._narrator.step("429 with Retry-After: 1: the run waits as long as it was told to"):
            await self._call(200, "parcels", "POST", "429:after=1/lamp", "--json", '{"to": "Ada"}')
            self._expect_requests("429:after=1/lamp", 2)
            self._expect_effects("parcels delivered", "lamp", 1)
        with self._narrator.step("The connection is cut after the POST: with an idempotency key it is sent again"):
            await self._call(200, "keyed-parcels", "POST", "cut/chair", "--json", '{"to": "Ada"}')
            self._expect_requests("cut/chair", 2)
            self._expect_effects("parcels delivered", "chair", 1)

    async def a_lost_answer(self) -> None:
        """What is not safe to retry waits for a person."""
        self._narrator.chapter(
            "A lost answer",
            "The same cut, but this system knows no idempotency keys. Sent again, the parcel might go out twice; "
            "given up, it might be believed lost. So the run says that its outcome is unknown, and waits.",
        )
        with self._narrator.step("The POST is cut: the run parks"):
            started = await self._tieline(
                "call", "parcels", "POST", "cut/table", "--json", '{"to": "Ada"}', "--wait", "5"
            )
            run = started.run
            self._expect_status(started, 4)
            self._narrator.expect("the message says who must act", "Who must act: operator" in started.output)
            outcome = await self._tieline("runs", "list", "--state", "waiting_for_decision")
            self._narrator.expect("it is among the runs that wait for a decision", run in outcome.output)
            self._expect_requests("cut/table", 1)
        with self._narrator.step("An operator reads why"):
            outcome = await self._tieline("runs", "show", run)
            self._narrator.expect("its history says so", "unknown" in outcome.output)
        with self._narrator.step("She finds the parcel at the other side, and decides"):
            self._expect_effects("parcels delivered", "table", 1)
            decision = ("--who", "grace", "--why", "found it in their list as no. 7", "--value", '{"parcel": 7}')
            self._expect_status(await self._tieline("runs", "decide", run, "skip", *decision), 0)
            outcome = await self._tieline("runs", "show", run)
            self._narrator.expect("who and why stand in its history", "grace: found it in their list" in outcome.output)
            self._expect_requests("cut/table", 1)

    async def afterwards(self) -> None:
        """What remains."""
        self._narrator.chapter("Afterwards", "Runs are kept for 30 days. Here is what ran, the newest first.")
        with self._narrator.step("List the runs"):
            outcome = await self._tieline("runs", "list")
            self._narrator.expect("none is left behind", "waiting" not in outcome.output)
        with self._narrator.step("All is well"):
            self._expect_status(await self._tieline("doctor"), 0)
        with self._narrator.step("No secret was printed, in all of the above"):
            self._narrator.expect("no secret is in the output", self._leaks(self._tieline.printed), [])

    async def _call(self, answer: int, *arguments: str) -> Outcome:
        """Make a call and show its run's history."""
        outcome = await self._tieline("call", *arguments)
        self._expect_status(outcome, 0)
        history = await self._tieline("runs", "show", outcome.run)
        self._narrator.expect(f"its history ends with {answer}", f"answered {answer}" in history.output)
        return outcome

    def _with_secrets(self) -> Sequence[Sequence[str]]:
        server = f"server={self._systems.server}"
        return [
            (
                *("accounts", "create", f"{system}-{profile}", "--integration", system, "--param", server),
                *_secret_options(system, profile, tenants[profile].secrets),
            )
            for system, tenants in SYSTEMS.items()
            for profile in PROFILES
        ]

    def _without_secrets(self) -> Sequence[Sequence[str]]:
        server = f"server={self._systems.flaky_server}"
        return [
            ("accounts", "create", key, "--integration", key, "--param", server) for key in ("flaky", "flaky-keyed")
        ]

    def _expect_status(self, outcome: Outcome, status: int) -> None:
        self._narrator.expect(f"exit status {status}", outcome.status, status)

    def _expect_effects(self, what: str, resource: str, count: int) -> None:
        self._narrator.expect(f"{what} on the other side: {count}", self._systems.ledger.effects(resource), count)

    def _expect_requests(self, path: str, count: int) -> None:
        found = len(self._systems.ledger.requests(f"/flaky/{path}"))
        self._narrator.expect(f"requests on the other side: {count}", found, count)

    def _leaks(self, texts: Sequence[str]) -> list[str]:
        """The names of secrets that stand in these texts."""
        secrets = {
            f"{system}/{profile}/{field}": value
            for system, tenants in SYSTEMS.items()
            for profile, tenant in tenants.items()
            for field, value in tenant.secrets.items()
            if field not in ("username", "client_id")
        }
        secrets |= {prefix: prefix for prefix in ISSUED_PREFIXES}
        secrets |= {"warehouse/password": WAREHOUSE_PASSWORD, "warehouse/private_key": "PRIVATE KEY"}
        return [name for name, value in secrets.items() if any(value in text for text in texts)]


def _misspelt(folder: Path) -> Path:
    """GIPHY's definition with a mistake that people make."""
    text = (ROOT / DEFINITIONS / "giphy.yaml").read_text(encoding="utf-8")
    file = folder / "giphy.yaml"
    file.write_text(text.replace('value: "{token}"', 'value: "{tokn}"'), encoding="utf-8")
    return file


def _secret_options(system: str, profile: str, fields: Iterable[str]) -> Iterator[str]:
    for field in fields:
        yield from ("--secret", f"{field}=env:{variable(system, profile, field)}")


def variable(system: str, profile: str, field: str) -> str:
    """The environment variable that the demo keeps a secret in."""
    return f"DEMO_{system}_{profile}_{field}".upper()
