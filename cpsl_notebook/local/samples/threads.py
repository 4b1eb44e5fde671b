"""The sample of the app ``support-ops``: 300 support threads drawn from a fixed seed."""

from __future__ import annotations

import functools
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from cpsl_notebook.local.samples.scripting import counted

NOW = datetime(2026, 10, 31, 17, tzinfo=UTC)
"""The current time of the sample; ages are computed from it, so answers never change."""

QUEUES = ("billing", "onboarding", "integrations", "security", "mobile")
STATUSES = ("waiting for review", "waiting for customer", "in progress", "resolved")
PRIORITIES = ("urgent", "high", "normal", "low")
OPEN = STATUSES[:3]
FIELDS = {"status": STATUSES, "queue": QUEUES, "priority": PRIORITIES}


@dataclass(frozen=True, slots=True)
class Thread:
    """A conversation with a customer; times are in UTC."""

    id: str
    subject: str
    sender: str
    queue: str
    status: str
    priority: str
    opened: datetime
    last_reply: datetime

    @property
    def days_open(self) -> int:
        """Whole days since the thread was opened."""
        return (NOW - self.opened).days

    @property
    def days_silent(self) -> int:
        """Whole days since the last reply from either side."""
        return (NOW - self.last_reply).days

    @property
    def risk(self) -> int:
        """Risk in points, by the rule that `RISK_RULE` states."""
        if self.status == "resolved":
            return 0
        points = {"urgent": 60, "high": 35, "normal": 10, "low": 0}[self.priority]
        points += {"waiting for review": 15, "in progress": 5}.get(self.status, 0)
        return points + min(self.days_open, 15) + 2 * min(self.days_silent, 10)


RISK_RULE = (
    "Risk = priority (urgent 60, high 35, normal 10) + status (waiting for review 15, in progress "
    "5) + 1 for each day open (at most 15) + 2 for each day without a reply (at most 20)."
)

# Subjects by queue: serious, usual and minor ones. The priority is drawn to match.
_SUBJECTS = {
    "billing": (
        "Charged twice for {product} (${amount})|Card declined, {company} locked out of {product}|"
        "Refund of ${amount} promised but not received|Payout of ${amount} to {company} missing",
        "Refund request for invoice {number}|VAT number missing from invoice {number}|"
        "Question about a ${amount} charge in {month}|Discount not applied to {product} renewal",
        "Copy of the {month} invoice for {company}|New billing address for {company}|"
        "Purchase order number on invoice {number}|Move {company} to yearly invoices",
    ),
    "onboarding": (
        "{company} goes live tomorrow and nobody can sign in|Import of {number} contacts stuck|"
        "Workspace of {company} vanished during setup",
        "Import of {number} rows fails|Invitations not reaching the {company} team|"
        "Setting up {product} for {seats} people|{product} trial ended before setup was done",
        "Training session for {company}|Rename the {company} workspace|"
        "Getting-started guide for {product}",
    ),
    "integrations": (
        "CRM sync overwrote {number} contacts|{product} API answers every order with an error|"
        "Webhooks to {company} have stopped",
        "Webhook delivered {seats} times for one order|API rate limit reached by {company}|"
        "Calendar sync drops guests in {product}|Chat alerts from {product} arrive late",
        "Export of {product} data to CSV|Sandbox keys for {company}|"
        "{product} API docs list an old endpoint",
    ),
    "security": (
        "Unknown sign-in to the {company} admin account|API key of {company} posted in public|"
        "Former employee of {company} still has access",
        "SSO login loops for {company}|Two-factor codes refused for {seats} people|"
        "{product} audit log lacks entries for {month}",
        "Security questionnaire from {company}|Where {product} data is stored|"
        "Data processing agreement for {company}",
    ),
    "mobile": (
        "{product} crashes at start on {device}|Offline notes of {company} lost on {device}",
        "Push notifications stopped on {device}|Sign-in code not arriving on {device}|"
        "{product} drains the battery on {device}|Photos from {company} upload sideways",
        "Dark mode for {product} on {device}|Larger text on {device}|{product} widget on {device}",
    ),
}
_PRODUCTS = ("Atlas Reports", "Beacon Inbox", "Relay Forms", "Orchard Pay")
_COMPANIES = (
    "Harbor Dental|Kestrel Labs|Oak Street Books|Lumen Studio|Fjord Cycles|Mistral Foods|"
    "Northgate School|Pepper & Thyme|Quarry Fitness|Saffron Travel|Tandem Legal|Willow Clinic"
)
_DEVICES = ("Android phones", "Android tablets", "iPhone", "iPad")
_SENDERS = (
    "ada.weber alex.kim ana.lopez ben.cohen chen.lin dana.quinn emma.larsen farid.haddad hana.ito "
    "ivan.petrov jonas.bauer leila.kaya maria.ortiz noah.murphy priya.patel rosa.silva sam.okafor "
    "theo.moreau uma.khan vera.novak"
)


@functools.cache
def sample_threads(seed: int = 7) -> tuple[Thread, ...]:
    """Draw the 300 sample threads, oldest first; equal seeds draw equal threads."""
    rng = random.Random(seed)  # noqa: S311 (sample data, not a secret)
    drafts: dict[str, Thread] = {}
    while len(drafts) < 300:
        thread = _draw(rng)
        drafts.setdefault(thread.subject, thread)
    by_age = sorted(drafts.values(), key=lambda thread: thread.opened)
    return tuple(replace(thread, id=f"T-{1001 + place}") for place, thread in enumerate(by_age))


def _draw(rng: random.Random) -> Thread:
    """Draw a thread without an id; serious subjects tend to be urgent, recent and answered quickly."""
    queue = rng.choices(QUEUES, (31, 18, 22, 12, 17))[0]
    tier = rng.choices((0, 1, 2), (17, 53, 30))[0]
    weights = ((45, 45, 10, 0), (3, 20, 64, 13), (0, 2, 38, 60))[tier]
    priority = rng.choices(PRIORITIES, weights)[0]
    days = {"urgent": 2.5, "high": 5.0, "normal": 9.0, "low": 13.0}[priority]
    minutes = int(min(rng.expovariate(1 / days), 45.0) * 1440) + 20
    subject = rng.choice(_SUBJECTS[queue][tier].split("|")).format(
        product=rng.choice(_PRODUCTS),
        company=rng.choice(_COMPANIES.split("|")),
        device=rng.choice(_DEVICES),
        month=rng.choice(("August", "September", "October")),
        amount=rng.choice((49, 120, 240, 480, 975)),
        number=rng.randint(4100, 8900),
        seats=rng.randint(3, 40),
    )
    return Thread(
        id="",
        subject=subject,
        sender=f"{rng.choice(_SENDERS.split())}@example.{rng.choice(('com', 'com', 'org', 'net'))}",
        queue=queue,
        status=rng.choices(STATUSES, (28, 22, 20, 30))[0],
        priority=priority,
        opened=NOW - timedelta(minutes=minutes),
        last_reply=NOW - timedelta(minutes=int(minutes * rng.random())),
    )


def by_risk(rows: Sequence[Thread]) -> list[Thread]:
    """Sort threads by risk, highest first; the oldest first if it is equal."""
    return sorted(rows, key=lambda row: (-row.risk, row.opened, row.id))


def ago(days: int) -> str:
    """Format an age in whole days: ``"3 days ago"``."""
    return f"{counted(days, 'day')} ago" if days else "less than a day ago"
