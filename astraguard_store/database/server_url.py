"""The URL of a store on a server: taken apart, and shown without what is secret in it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final

from astraguard_store.exceptions import StoreNotFoundError

_SCHEMES: Final = {"postgresql", "postgresql+psycopg", "postgres"}
_FORM: Final = "postgresql://user@host:5432/database"
# Of a host, or of the folder of a socket: what is left when a password's @ was taken for
# the end of it isn't one.
_HOST: Final = re.compile(r"[\w.:,%/+~-]*")
_SHOWN: Final = ("host", "port")
# Servers of which one takes writes, as libpq lists them; SQLAlchemy knows them without ports.
_HOSTS: Final = re.compile(
    r"(//(?:[^/?@]*@)?)([\w.~-]+(?::\d+)?(?:,[\w.~-]+(?::\d+)?)+)(?=[/?]|$)"
)
_PORT: Final = "5432"


@dataclass(frozen=True, slots=True)
class ServerUrl:
    """Where a server is, and who asks it.

    Attributes:
        shown: The URL for messages: without password and without options.
        parameters: For the driver; a password may be among them.
    """

    shown: str
    parameters: dict[str, Any] = field(repr=False, hash=False)

    def __str__(self) -> str:
        return self.shown

    @classmethod
    def parse(cls, text: str) -> ServerUrl:
        """Return the parts of a URL.

        Raises:
            StoreNotFoundError: It is none, or one of another kind of database. The message
                doesn't hold the URL: who knows what in it is the password.
        """
        from sqlalchemy import URL, make_url
        from sqlalchemy.exc import ArgumentError

        scheme = text.partition(":")[0].lower()
        if scheme not in _SCHEMES:
            raise StoreNotFoundError(
                f"a URL of {scheme}: is no store; name a results folder, or a server as {_FORM}"
            )
        rest, hosts = _without_hosts(text.partition(":")[2])
        try:
            # libpq takes both names of the scheme, SQLAlchemy one.
            url = make_url("postgresql:" + rest).update_query_dict(hosts)
        except (ArgumentError, ValueError):
            raise _malformed() from None
        if not _HOST.fullmatch(url.host or ""):
            raise _malformed()
        shown = URL.create(
            url.drivername,
            username=url.username,
            host=url.host,
            port=url.port,
            database=url.database,
            query={name: url.query[name] for name in _SHOWN if name in url.query},
        )
        parameters = {
            **url.translate_connect_args(database="dbname", username="user"),
            **url.query,
        }
        return cls(shown.render_as_string(), parameters)

    def without_secrets(self, message: str) -> str:
        """Return a driver's message in one line, and without the password if it is there."""
        for name, value in self.parameters.items():
            if "password" in name and value:
                message = message.replace(str(value), "***")
        return " ".join(message.split())


def _without_hosts(rest: str) -> tuple[str, dict[str, str]]:
    """Return what follows the scheme without its list of servers, and these as parameters."""
    found = _HOSTS.match(rest)
    if found is None:
        return rest, {}
    pairs = [host.partition(":") for host in found[2].split(",")]
    hosts = {
        "host": ",".join(host for host, _, _ in pairs),
        "port": ",".join(port or _PORT for _, _, port in pairs),
    }
    return found[1] + rest[found.end() :], hosts


def _malformed() -> StoreNotFoundError:
    return StoreNotFoundError(
        f"the URL of the server can't be read; it looks like {_FORM}. In a password, write "
        "@ as %40, : as %3A, / as %2F, ? as %3F, # as %23 and % as %25; or leave it to "
        "PGPASSWORD or ~/.pgpass"
    )
