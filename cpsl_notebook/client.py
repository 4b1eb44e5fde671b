"""The notebook client: `cpsl.Client` with tabular results as DataFrames.

pandas, and modules that need it, are imported when the first table is created.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from cpsl_notebook.connected import connected_client
from cpsl_notebook.cpsl_package import make_client, same_class
from cpsl_notebook.errors import ClientError, UsageError, check_type, did_you_mean
from cpsl_notebook.reading import Report, read_apps
from cpsl_notebook.recordings.calls import METHODS, LiveClient
from cpsl_notebook.recordings.environment import replay_from_environment
from cpsl_notebook.recordings.running import current_recording, in_use
from cpsl_notebook.reproducible import is_reproducible, local_url

if TYPE_CHECKING:
    import pandas as pd

    from cpsl_notebook.earnings.dates import Moment

__all__ = ["Client", "connect"]

Directory = Callable[[], list[dict[str, Any]]]
Clock = Callable[[], datetime]


def _now() -> datetime:
    return datetime.now(UTC)


class Client:
    """The methods of `cpsl.Client`, with tabular results as DataFrames.

    Parameters
    ----------
    core : cpsl.Client, optional
        Client to wrap. By default, it is the client of the workspace or recording to which
        ``%capsule local`` or ``%capsule replay`` has connected the notebook, as in its cells and for
        `ask`. Otherwise, it is the recording in ``CAPSULE_REPLAY`` or ``cpsl.Client()``, which gets
        its credentials from the environment, or else from the file that ``capsule login`` writes.
        If several apps are read, several threads use it at the same time.
    directory : callable, optional
        Function that lists the apps of the workspace, to use instead of ``core.list_apps``. The
        official client's ``list_apps`` ignores the token and the gateway of its constructor.
    scope : str, optional
        Name of the workspace; each workspace has its own conversations. The default is the
        address of the gateway.
    clock : callable, optional
        Function that returns the current time, for ``attrs["read_at"]``.

    Attributes
    ----------
    core : cpsl.Client
        The wrapped client.
    scope : str
        Name of the workspace.

    Raises
    ------
    UsageError
        *core* does not have the methods of `cpsl.Client`, or is a `cpsl_notebook.Client` already.
    Exception
        The client's error, for example if there are no credentials.

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
        clock: Clock | None = None,
    ) -> None:
        for name, function in (("directory", directory), ("clock", clock)):
            is_valid = function is None or callable(function)
            check_type(is_valid, name, function, "It must be a function.")
        check_type(isinstance(scope, str), "scope", scope, "It must be a string.")
        connected = connected_client() if core is None else None
        if connected is not None:
            core, scope = connected._core, scope or connected.scope
            directory, clock = directory or connected._directory, clock or connected._clock
        if core is None:
            core = replay_from_environment() or make_client()
        if isinstance(core, Client) or not any(hasattr(core, method) for method in METHODS):
            raise UsageError(
                f"core must be a cpsl.Client, not {core!r}. Call Client() without arguments for the "
                "credentials of the environment."
            )
        self._core: Any = core
        self.scope: str = scope or str(getattr(self._core, "scope", "")) or self._gateway
        self._directory: Directory | None = directory
        self._clock: Clock = getattr(self._core, "clock", _now) if clock is None else clock
        self._ids: dict[str, str] = {}
        self._listed: list[str] = []

    def __repr__(self) -> str:
        if self.live().is_replay:
            return f"<cpsl_notebook.Client of the recording {self._core.file.shown}>"
        where = self._gateway or self.scope or "a Capsule workspace"
        if is_reproducible() and self.scope.startswith("local:"):
            where = "the local workspace"  # the address has a port
        return f"<cpsl_notebook.Client of {where}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def core(self) -> Any:
        """The wrapped client; during a recording, one that records the responses."""
        return in_use(self.live(), self._clock)

    def live(self) -> LiveClient:
        """Return the wrapped client with this workspace's directory, for recordings."""
        return LiveClient(self._core, self._reference, self._directory)

    def close(self) -> None:
        """Close the connections of the wrapped client, if it has a method for that."""
        close = getattr(self.core, "close", None)
        if close is not None:
            close()

    def list_apps(self) -> pd.DataFrame:
        """List the apps of the workspace.

        Returns
        -------
        pandas.DataFrame
            One row per app, with the strings ``id``, ``name`` and ``hostname``.
        """
        from cpsl_notebook.frames import apps_frame

        return apps_frame(self._apps())

    def get_app(self, name_or_id: str) -> dict[str, Any]:
        """Return the metadata of an app.

        Parameters
        ----------
        name_or_id : str
            Name or id of the app.

        Returns
        -------
        dict
            The metadata as the service returns it.
        """
        app: dict[str, Any] = self.core.get_app(self.reference(name_or_id))
        inner = app.get("app")
        return inner if isinstance(inner, dict) else app

    def create_checkout(self, app: str, return_url: str = "") -> str:
        """Create a checkout for a paid app.

        Parameters
        ----------
        app : str
            Name or id of the app.
        return_url : str, optional
            Page to return to after the payment.

        Returns
        -------
        str
            URL of the checkout.
        """
        return local_url(self.core.create_checkout(self.reference(app), return_url))

    def list_payments(
        self,
        *apps: str,
        since: Moment | None = None,
        until: Moment | None = None,
        month: str | pd.Period | None = None,
        tz: str = "UTC",
    ) -> pd.DataFrame:
        r"""Read the payments of one app, of several apps, or of all.

        Up to 8 apps are read at the same time. If one of them cannot be read, its error is raised.

        Parameters
        ----------
        \*apps : str
            Names or ids of apps; by default, every app of the workspace.
        since : str, datetime.date, pandas.Period or pandas.Timestamp, optional
            First moment to include. A year, a month or a day, such as ``"2025-10"``, means its
            beginning in *tz*; a time without a zone is in *tz*.
        until : str, datetime.date, pandas.Period or pandas.Timestamp, optional
            First moment to exclude, in the same forms.
        month : str or pandas.Period, optional
            Calendar month in *tz*, such as ``"2025-10"``, instead of *since* and *until*.
        tz : str, default "UTC"
            Name of a time zone, such as ``"Europe/Berlin"``.

        Returns
        -------
        pandas.DataFrame
            One row per payment, with ``app`` and a column for every field that the service sent,
            under its name. `cpsl_notebook.frames` describes the column types. ``attrs`` has these
            strings, which Parquet and pickle preserve:

            - ``app``: the apps, separated by commas.
            - ``gateway``: the address of the gateway.
            - ``read_at``: when reading began, in UTC.
            - ``currency``: the currencies, separated by commas.
            - ``window``: empty for the whole history, or else both bounds in UTC, separated by
              ``/``.
            - ``unparsed``: the number of values that do not fit the type of their column.
            - ``read``: the number of rows and a fingerprint of the ids of each app, as JSON, from which
              analyses detect missing rows.
            - ``prices``: the prices of the apps in cents, as JSON; only if the column names do
              not show the unit of the amounts.

        Raises
        ------
        cpsl_notebook.UserError
            If a date, the month or the zone is invalid, or there is a window and a payment has no
            time.

        Examples
        --------
        ::

            client = Client()
            october = client.list_payments("support-ops", month="2025-10", tz="Europe/Berlin")
        """
        from cpsl_notebook.earnings.window import Window
        from cpsl_notebook.frames import payments_frame

        window = Window.of(since, until, month, tz)
        read_at = self._clock()
        names = _distinct(apps) or self.app_names()
        with read_apps(names, self._payments, "payments") as answers:
            frame = payments_frame(answers)
        return window.cut(self._with_prices(self._with_origin(frame, read_at)))

    def get_earnings(self, *apps: str) -> pd.DataFrame:
        r"""Read the earnings summaries of one app, of several apps, or of all.

        Up to 8 apps are read at the same time. If one of them cannot be read, its error is raised.

        Parameters
        ----------
        \*apps : str
            Names or ids of apps; by default, every app of the workspace.

        Returns
        -------
        pandas.DataFrame
            One row per app, with ``app`` and a column for every field that the service sent.
            ``attrs`` has the same strings as for `list_payments`, except ``read``.
        """
        from cpsl_notebook.frames import earnings_frame

        read_at = self._clock()
        names = _distinct(apps) or self.app_names()
        with read_apps(names, self._earnings, "earnings") as answers:
            frame = earnings_frame(answers)
        return self._with_origin(frame, read_at)

    def chat(self, app: str, text: str, session_id: str | None = None, **options: Any) -> Any:
        r"""Send a message and wait for the whole reply.

        Parameters
        ----------
        app : str
            Name or id of the app.
        text : str
            The message.
        session_id : str, optional
            The session to continue; by default, a new one is started.
        \**options : object
            Passed to the wrapped client, such as ``timeout=`` with `cpsl-client`.

        Returns
        -------
        cpsl.ChatResponse
            The reply with ``text``, ``session_id``, ``request_id`` and ``raw``.
        """
        return self.core.chat(self.reference(app), text, session_id, **options)

    def stream(self, app: str, text: str, session_id: str | None = None, **options: Any) -> Any:
        r"""Send a message and iterate over its reply as it arrives.

        Parameters
        ----------
        app : str
            Name or id of the app.
        text : str
            The message.
        session_id : str, optional
            The session to continue; by default, a new one is started.
        \**options : object
            Passed to the wrapped client, such as ``timeout=`` with `cpsl-client`.

        Returns
        -------
        iterator of cpsl.StreamChunk
            Chunks with ``event``, ``data``, ``text`` and ``done``.
        """
        return self.core.stream(self.reference(app), text, session_id, **options)

    def known_apps(self) -> list[str]:
        """Return the names of the last listing, without a request."""
        return self._listed if self._directory is None else self.app_names()

    def app_names(self) -> list[str]:
        """Return the names of the apps of the workspace."""
        return [str(app["name"]) for app in self._apps()]

    def reference(self, app: str) -> str:
        """Return how to refer to an app when calling the wrapped client.

        Parameters
        ----------
        app : str
            Name or id of the app.

        Returns
        -------
        str
            The id, if there is a directory; otherwise *app*.

        Raises
        ------
        cpsl_notebook.UserError
            If the directory has no such app, or *app* is not a string.
        """
        _check_name(app)
        # A recording has the names; it looks the id up itself.
        return app if current_recording() else self._reference(app)

    def _reference(self, app: str) -> str:
        if self._directory is None or (len(app) == 36 and app.count("-") == 4):
            return app
        if app not in self._ids:
            self._ids = {known["name"]: known["id"] for known in self._directory()}
        if app not in self._ids:
            otherwise = "If it is your own, run its cell first. List apps with `%capsule apps`."
            choice = did_you_mean(app, self._ids, otherwise)
            raise ClientError(
                f"No app {app!r} in this workspace. {choice}", label="AppNotFoundError"
            )
        return self._ids[app]

    @property
    def _gateway(self) -> str:
        return str(getattr(self._core, "gateway_url", ""))

    def _apps(self) -> list[dict[str, Any]]:
        recorded = current_recording() is not None
        list_apps = self.core.list_apps if recorded else self._directory or self.core.list_apps
        apps: list[dict[str, Any]] = list_apps()
        self._listed = [str(app["name"]) for app in apps]
        return apps

    def _payments(self, app: str, report: Report) -> Any:
        """Return an app's payments: as bytes if the client offers them, otherwise decoded."""
        core = self.core
        if same_class(core.list_payments, getattr(core, "read_payments", None)):
            return core.read_payments(self.reference(app), progress=report)
        return core.list_payments(self.reference(app))

    def _earnings(self, app: str, report: Report) -> Any:
        return self.core.get_earnings(self.reference(app))

    def _price(self, app: str, report: Report) -> Any:
        return self.get_app(app).get("price_in_cents")

    def _with_origin(self, frame: pd.DataFrame, read_at: datetime) -> pd.DataFrame:
        """Set the source and the time of reading in a frame's attributes."""
        time = read_at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        frame.attrs |= {"gateway": self._gateway, "read_at": time, "window": ""}
        return frame

    def _with_prices(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Add the prices of the apps to a frame's attributes, if the unit of amounts needs them."""
        from cpsl_notebook.earnings.ledger.roles import needs_prices

        if needs_prices(frame):
            with read_apps(list(frame["app"].unique()), self._price, "prices") as prices:
                known = {app: price for app, price in prices if type(price) is int}
            frame.attrs["prices"] = json.dumps(known)
        return frame


def _distinct(apps: tuple[str, ...]) -> list[str]:
    """Return names of apps without repetition."""
    for app in apps:
        _check_name(app, "Pass a name or id as a string, and several as separate arguments.")
    return list(dict.fromkeys(apps))


def _check_name(app: object, advice: str = "Pass a name or id as a string.") -> None:
    check_type(isinstance(app, str), "app", app, advice)


def connect(
    directory: Directory | None = None, scope: str = "", clock: Clock = _now, **options: Any
) -> Client:
    r"""Return a `Client` that wraps a new `cpsl.Client`.

    Parameters
    ----------
    directory : callable, optional
        Function that lists the apps of the workspace.
    scope : str, optional
        Name of the workspace.
    clock : callable, optional
        Function that returns the current time.
    \*\*options : object
        Arguments of `cpsl.Client`; those that are ``None`` are omitted.

    Returns
    -------
    Client
        The client.
    """
    replayed = replay_from_environment()
    if replayed is not None:
        return Client(replayed)
    return Client(make_client(**options), directory=directory, scope=scope, clock=clock)
