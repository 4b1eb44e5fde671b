"""`cpsl.Client` for notebooks: what is a table comes back as a DataFrame."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from cpsl_notebook import frames
from cpsl_notebook.cpsl_package import make_client, same_class
from cpsl_notebook.earnings.ledger.roles import needs_prices
from cpsl_notebook.earnings.window import Side, Window
from cpsl_notebook.errors import ClientError, did_you_mean
from cpsl_notebook.progress import Reading, reading

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Client", "connect"]

Directory = Callable[[], list[dict[str, Any]]]
Clock = Callable[[], datetime]


def _now() -> datetime:
    return datetime.now(UTC)


class Client:
    """The methods of `cpsl.Client`, with tables as DataFrames.

    Parameters
    ----------
    core
        The client to wrap; by default ``cpsl.Client()``, which finds its credentials itself.
    directory
        Lists the workspace's apps, where something knows them better than the client: the
        official one's ``list_apps()`` ignores the token and the gateway that it was made with.
    scope
        What tells this workspace from others; conversations are kept apart by it.
    clock
        Tells the time of reading that a table is marked with; by default now.

    Attributes
    ----------
    core
        The wrapped client.

    Examples
    --------
    ::

        client = Client()
        client.list_payments("support-ops").groupby("payout_state")["net_cents"].sum()
    """

    def __init__(
        self,
        core: Any = None,
        *,
        directory: Directory | None = None,
        scope: str = "",
        clock: Clock = _now,
    ) -> None:
        self.core = make_client() if core is None else core
        self.scope = scope or str(getattr(self.core, "gateway_url", ""))
        self._directory = directory
        self._clock = clock
        self._ids: dict[str, str] = {}
        self._listed: list[str] = []

    def __repr__(self) -> str:
        where = getattr(self.core, "gateway_url", "") or self.scope or "a Capsule workspace"
        return f"<cpsl_notebook.Client of {where}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the wrapped client's connections, where it has a way to."""
        close = getattr(self.core, "close", None)
        if close is not None:
            close()

    def list_apps(self) -> pd.DataFrame:
        """List the workspace's apps.

        Returns
        -------
        pandas.DataFrame
            One row per app; ``id``, ``name`` and ``hostname``, strings.
        """
        return frames.apps_frame(self._apps())

    def get_app(self, name_or_id: str) -> dict[str, Any]:
        """Return the metadata of one app, as the service gives them."""
        app: dict[str, Any] = self.core.get_app(self.reference(name_or_id))
        inner = app.get("app")
        return inner if isinstance(inner, dict) else app

    def create_checkout(self, app: str, return_url: str = "") -> str:
        """Create a checkout of a paid app and return its URL."""
        url: str = self.core.create_checkout(self.reference(app), return_url)
        return url

    def list_payments(
        self,
        *apps: str,
        since: Side | None = None,
        until: Side | None = None,
        month: str | None = None,
        tz: str = "UTC",
    ) -> pd.DataFrame:
        """Read the payments of one app, of several, or of all.

        Parameters
        ----------
        apps
            Names or ids; none means every app of the workspace.
        since, until
            Only the payments from the one up to, not including, the other: days, which begin at
            midnight in *tz*, or times; those without a zone are in *tz*.
        month
            Only the payments of a calendar month in *tz*, such as ``"2025-10"``.
        tz
            The name of a time zone.

        Returns
        -------
        pandas.DataFrame
            One row per payment, with a column for every field that the service gave, under its
            name, and ``app``. See `cpsl_notebook.frames` for the types. ``attrs`` says where the
            rows are from, as strings that Parquet and pickle keep: ``app``, ``gateway``,
            ``read_at`` (when reading began, UTC), ``currency``, ``window`` (empty for the whole
            history, else its two sides in UTC with ``/`` between them) and ``unparsed`` (how many
            values fit no column); where no name says whether an amount is cents or currency, also
            the apps' ``prices``, which may.

        Raises
        ------
        UserError
            A side of the window cannot be read, or a payment has no time to choose it by.
        """
        window = Window.of(since, until, month, tz)
        read_at = self._clock()
        names = self._names(apps)
        with reading(len(names)) as bar:
            frame = frames.payments_frame((app, self._payments(app, bar)) for app in names)
        return window.cut(self._priced(self._told(frame, read_at)))

    def get_earnings(self, *apps: str) -> pd.DataFrame:
        """Read the earnings summaries of one app, of several, or of all.

        Returns
        -------
        pandas.DataFrame
            One row per app, with ``app`` and a column for every field that the service gave.
        """
        read_at = self._clock()
        named = ((app, self.core.get_earnings(self.reference(app))) for app in self._names(apps))
        return self._told(frames.earnings_frame(named), read_at)

    def chat(self, app: str, text: str, session_id: str | None = None, **options: Any) -> Any:
        """Send a message and wait for the whole reply, as `cpsl.Client.chat` does."""
        return self.core.chat(self.reference(app), text, session_id, **options)

    def stream(self, app: str, text: str, session_id: str | None = None, **options: Any) -> Any:
        """Send a message and iterate over its reply, as `cpsl.Client.stream` does."""
        return self.core.stream(self.reference(app), text, session_id, **options)

    def known_apps(self) -> list[str]:
        """Return the names of the last listing, without asking anybody."""
        return self._listed if self._directory is None else self.app_names()

    def app_names(self) -> list[str]:
        """Return the names of the workspace's apps."""
        return [str(app["name"]) for app in self._apps()]

    def reference(self, app: str) -> str:
        """Return how to name an app to the wrapped client: by id where a directory knows it.

        Raises
        ------
        UserError
            The directory has no such app.
        """
        if self._directory is None or (len(app) == 36 and app.count("-") == 4):
            return app
        if app not in self._ids:
            self._ids = {known["name"]: known["id"] for known in self._directory()}
        if app not in self._ids:
            choice = did_you_mean(app, self._ids, "List apps with `%capsule apps`.")
            raise ClientError(
                f"No app {app!r} in this workspace. {choice}", label="AppNotFoundError"
            )
        return self._ids[app]

    def _apps(self) -> list[dict[str, Any]]:
        apps: list[dict[str, Any]] = (self._directory or self.core.list_apps)()
        self._listed = [str(app["name"]) for app in apps]
        return apps

    def _payments(self, app: str, bar: Reading) -> Any:
        """Read an app's payments: as bytes where the client hands them over, else decoded."""
        bar.begin(app)
        if same_class(self.core.list_payments, getattr(self.core, "read_payments", None)):
            return self.core.read_payments(self.reference(app), progress=bar.received)
        return self.core.list_payments(self.reference(app))

    def _told(self, frame: pd.DataFrame, read_at: datetime) -> pd.DataFrame:
        """Add to a frame's attributes where and when it was read."""
        gateway = str(getattr(self.core, "gateway_url", ""))
        frame.attrs |= {"gateway": gateway, "read_at": _iso(read_at), "window": ""}
        return frame

    def _priced(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Add the apps' prices, where only they can tell whether an amount is cents or currency."""
        if needs_prices(frame):
            prices = {app: self.get_app(app).get("price_in_cents") for app in frame["app"].unique()}
            known = {app: price for app, price in prices.items() if type(price) is int}
            frame.attrs["prices"] = json.dumps(known)
        return frame

    def _names(self, apps: tuple[str, ...]) -> list[str]:
        return list(dict.fromkeys(apps)) if apps else self.app_names()


def connect(
    directory: Directory | None = None, scope: str = "", clock: Clock = _now, **options: Any
) -> Client:
    """Make a `Client` over a new `cpsl.Client` with these options."""
    return Client(make_client(**options), directory=directory, scope=scope, clock=clock)


def _iso(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
