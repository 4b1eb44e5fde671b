"""The private folder of a local workspace."""

from __future__ import annotations

import configparser
import secrets
import shutil
import sys
from pathlib import Path
from typing import IO

from cpsl_notebook.errors import UserError
from cpsl_notebook.files import create_private, lock, write_private

__all__ = ["DATABASE", "Folder"]

DATABASE = "workspace.sqlite"
"""The name of the SQLite file."""

_PREFIX = "capsule_local_"  # distinguishes a local workspace's token from a real one


class Folder:
    """The files of a workspace: the database, ``config.ini`` with the token, the login secret.

    Parameters
    ----------
    path : pathlib.Path
        The folder. It must be a workspace's, empty, or missing.

    Attributes
    ----------
    path : pathlib.Path
        The absolute path of the folder.
    token : str
        The workspace's token.
    login_secret : str
        The secret that confirms a login.

    Raises
    ------
    UserError
        The folder contains other files, or cannot be written.
    """

    def __init__(self, path: Path) -> None:
        try:
            self.path = path.expanduser().absolute()
        except RuntimeError:  # no such user in "~user"
            raise UserError(
                f"Cannot use {path} for a workspace: there is no such user. Use another folder."
            ) from None
        self._serving_lock: IO[str] | None = None
        try:
            self._create()
            self.token = self._read_token()
            self.login_secret = create_private(
                self.path / "login-secret", secrets.token_urlsafe(24)
            )
        except (OSError, ValueError) as error:
            raise self._unusable(error) from None

    def add_config(self, grpc_port: int) -> Path:
        """Write a ``config.ini`` for a running server, and return its path.

        This process locks the file's folder until `remove_config`. Folders without a lock belonged
        to processes that were killed, and are removed, because they contain the token. Where files
        cannot be locked, as on Windows, they are kept.
        """
        try:
            return self._add_config(grpc_port)
        except OSError as error:
            raise self._unusable(error) from None

    def remove_config(self, path: Path) -> None:
        """Remove a file that `add_config` wrote."""
        self.release()  # before removing, because Windows does not remove files that are open
        shutil.rmtree(path.parent, ignore_errors=True)  # it may have been removed already

    def release(self) -> None:
        """Release the lock of `add_config`; a forked child does so, and its parent keeps it."""
        if self._serving_lock is not None:
            self._serving_lock.close()

    def _add_config(self, grpc_port: int) -> Path:
        serving = self.path / "serving"
        serving.mkdir(mode=0o700, exist_ok=True)
        with (serving / "lock").open("a") as starting:
            lock(starting, wait=True)
            for place in filter(Path.is_dir, serving.iterdir()):
                with (place / "lock").open("a") as file:
                    if lock(file):
                        shutil.rmtree(place, ignore_errors=True)
            place = serving / str(grpc_port)
            place.mkdir(mode=0o700, exist_ok=True)
            self._serving_lock = (place / "lock").open("a")
            lock(self._serving_lock)
            write_private(
                place / "config.ini",
                f"[default]\ntoken = {self.token}\ngateway_host = 127.0.0.1\n"
                f"gateway_port = {grpc_port}\ngateway_http_port = {grpc_port + 1}\n",
            )
        return place / "config.ini"

    def _unusable(self, error: OSError | ValueError) -> UserError:
        reason = error.strerror if isinstance(error, OSError) else "a file in it is not text"
        if "\0" in str(self.path):
            reason = "its name contains a null character"
        return UserError(f"Cannot use {self.path} for a workspace: {reason}. Use another folder.")

    def _create(self) -> None:
        found = {path.name for path in self.path.iterdir()} if self.path.exists() else set()
        # Another process that starts writes files with these names.
        found = {name for name in found if not name.startswith("config.ini.")}
        if found and not found & {DATABASE, "login-secret"} and not self._stored_token():
            raise UserError(f"{self.path} is not empty and is not a workspace. Use another folder.")
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if sys.platform != "win32":
            self.path.chmod(0o700)

    def _read_token(self) -> str:
        """Return the workspace's token; the first start creates it."""
        create_private(
            self.path / "config.ini",
            f"[default]\ntoken = {_PREFIX}{secrets.token_urlsafe(24)}\n",
        )
        token = self._stored_token()
        if not token:
            raise UserError(
                f"{self.path / 'config.ini'} has no token of a local workspace. Remove the file, or "
                "use another folder."
            )
        return token

    def _stored_token(self) -> str:
        """Return the token in ``config.ini``; empty if there is none, or if it is a real one."""
        parser = configparser.ConfigParser(default_section="default", interpolation=None)
        try:
            parser.read_string((self.path / "config.ini").read_text(encoding="utf-8"))
        except (FileNotFoundError, UnicodeDecodeError, configparser.Error):
            return ""
        token = parser["default"].get("token", "")
        return token if token.startswith(_PREFIX) else ""
