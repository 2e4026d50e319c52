"""The routes, who may ask, and the headers of every answer."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from astraguard_store.exceptions import ArtifactReadError, StoreError
from astraguard_store.presentation.style import CSS
from astraguard_store.store.attached import attached_file
from astraguard_store.web import pages

if TYPE_CHECKING:
    from astraguard_store.repository import RunRepository

# Nothing is run, embedded or sent elsewhere, whatever a name holds.
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src data:; form-action 'self'; "
        "base-uri 'none'; frame-src 'self'; frame-ancestors 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_COOKIE = "astraguard_token"

_Make = Callable[[Request], pages.Page]
_Next = Callable[[Request], Awaitable[Response]]


def make_app(
    repository: RunRepository, *, token: str | None = None, hosts: tuple[str, ...] = ("*",)
) -> Starlette:
    """Return the application.

    Args:
        repository: Opened for reading; it may be asked by several threads.
        token: Without it nobody is answered: as ``?token=…`` at first, which sets a cookie, or
            as ``Authorization: Bearer …``. None asks for none.
        hosts: Names that a request may call this server; others are refused, so that no page
            elsewhere can have a browser ask in its own name (DNS rebinding).
    """

    async def style(_: Request) -> Response:
        return Response(CSS, media_type="text/css")

    routes = [Route("/style.css", style, methods=["GET"])]
    attached = _attached(repository)
    routes.append(Route("/run/{run_id}/attached/{name}", attached, methods=["GET"]))
    makers: dict[str, _Make] = {
        "/": lambda request: pages.runs_page(repository, request.query_params),
        "/run/{run_id}": lambda request: pages.run_page(repository, request.path_params["run_id"]),
        "/running": lambda request: pages.running_page(repository, request.query_params),
        "/compare": lambda request: pages.compare_page(
            repository,
            request.query_params.getlist("run"),
            request.query_params.get("baseline"),
        ),
        "/history": lambda request: pages.history_page(repository, request.query_params),
        "/sql": lambda request: pages.sql_page(repository, request.query_params),
    }
    for path, make in makers.items():
        routes.append(Route(f"/json{path}", _endpoint(make, as_json=True), methods=["GET"]))
        routes.append(Route(path, _endpoint(make, as_json=False), methods=["GET"]))
    middleware = [
        Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts)),
        Middleware(BaseHTTPMiddleware, dispatch=_guarded(token)),
    ]
    refused = {StoreError: _refused}
    return Starlette(routes=routes, middleware=middleware, exception_handlers=refused)


def _endpoint(make: _Make, *, as_json: bool) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        page = await run_in_threadpool(make, request)
        return JSONResponse(page.data) if as_json else _answer(request, page)

    return answer


def _answer(request: Request, page: pages.Page, status: int = 200) -> Response:
    # A file that was attached has no JSON.
    path = "/" if "name" in request.path_params else quote(request.url.path)
    query = f"?{request.url.query}" if request.url.query else ""
    # Half a surrogate pair, as in a damaged file's name, is shown and is no error.
    content = pages.document(page, f"/json{path}{query}").encode("utf-8", "backslashreplace")
    headers = {"Refresh": str(page.refresh_s)} if page.refresh_s else None
    return Response(content, status, headers, media_type="text/html")


async def _refused(request: Request, error: Exception) -> Response:
    """Return what is said where the store can't answer."""
    is_missing = "name" in request.path_params and isinstance(error, ArtifactReadError)
    page, status = pages.error_page(error), 404 if is_missing else pages.status_of(error)
    if request.url.path.startswith("/json"):
        return JSONResponse(page.data, status)
    return _answer(request, page, status)


def _attached(repository: RunRepository) -> Callable[[Request], Awaitable[Response]]:
    """Return what answers with a file that was attached: to be saved, never to be shown."""

    def find(run_id: str, name: str) -> tuple[int, Iterator[bytes]]:
        return attached_file(repository.results_dir, repository.get(run_id), name)

    async def answer(request: Request) -> Response:
        name = request.path_params["name"]
        size, chunks = await run_in_threadpool(find, request.path_params["run_id"], name)
        headers = {
            "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}",
            "Content-Length": str(size),
        }
        return StreamingResponse(chunks, 200, headers, media_type="application/octet-stream")

    return answer


def _guarded(token: str | None) -> Callable[[Request, _Next], Awaitable[Response]]:
    async def dispatch(request: Request, call_next: _Next) -> Response:
        given = request.query_params.get("token")
        if token is not None and not _knows(request, given, token):
            response: Response = PlainTextResponse("A token is needed: add ?token=…", 401)
        else:
            response = await call_next(request)
            if token is not None and given is not None:
                response.set_cookie(_COOKIE, token, httponly=True, samesite="strict")
        response.headers.update(_HEADERS)
        return response

    return dispatch


def _knows(request: Request, given: str | None, token: str) -> bool:
    bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
    offered = (given, request.cookies.get(_COOKIE), bearer)
    return any(o and hmac.compare_digest(o.encode(), token.encode()) for o in offered)
