"""`astraguard-store serve`."""

from __future__ import annotations

import ipaddress
import secrets
from urllib.parse import urlencode

import click

from astraguard_store.cli import options, output
from astraguard_store.exceptions import MissingExtraError

_LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]", "::1")


@click.command(
    epilog=options.examples(
        "astraguard-store serve",
        "astraguard-store serve --port 9000",
        "astraguard-store serve --host 0.0.0.0 --token auto",
    )
)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port", type=click.IntRange(1, 65_535), default=8321, show_default=True, help="The port."
)
@click.option(
    "--token",
    envvar="ASTRAGUARD_STORE_TOKEN",
    help="What a reader has to know; needed for an address that others reach. `auto` makes one.",
)
@options.results
def serve(host: str, port: int, token: str | None, results: options.Results) -> None:
    """Serve pages of the store for a browser: runs, charts, history, SQL.

    Ctrl-C ends it. It only reads. No page has a script or asks another machine; each has its
    data as JSON beside it. On another address than that of this machine it asks for a token.

    Exit code 0; 2 for an error, such as an address without a token, or a missing extra `web`.
    """
    # An empty one, as of a variable that is set to nothing, is none.
    token = token or None
    is_loopback = _is_loopback(host)
    if not is_loopback and not token:
        raise click.UsageError(
            f"Others reach {host}: add --token auto, or --token with a secret of 16 characters."
        )
    if token == "auto":  # noqa: S105 - a word, no secret
        token = secrets.token_urlsafe(24)
    elif token and len(token) < 16:
        raise click.UsageError(
            "A token of fewer than 16 characters can be guessed; use --token auto."
        )
    try:
        # polars is loaded now, in 0.3 s, rather than while somebody waits for a run's page.
        import polars  # noqa: F401
        import uvicorn

        from astraguard_store.web.app import make_app
    except ImportError:
        raise MissingExtraError("`serve`", "web") from None
    with options.open_store(results, read_only=True) as repository:
        hosts = (*_LOOPBACK_NAMES, host, f"[{host}]") if is_loopback else ("*",)
        app = make_app(repository, token=token, hosts=hosts)
        output.print_line(f"{_url(host, port, token)}  (Ctrl-C ends)")
        uvicorn.run(app, host=host, port=port, log_level="warning", server_header=False)


def _url(host: str, port: int, token: str | None) -> str:
    name = f"[{host}]" if ":" in host else host
    query = f"?{urlencode({'token': token})}" if token else ""
    return f"http://{name}:{port}/{query}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
