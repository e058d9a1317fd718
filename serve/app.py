"""The ASGI application: a FastAPI app for what is small, raw ASGI endpoints for what generates, one outer layer."""

import re
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.middleware.cors import CORSMiddleware
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, ConfigDict, TypeAdapter
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route as AsgiRoute

import microgpt
from serve.access import SCOPE_KEY, AccessLayer, App, Message, Receive, Scope, Send, encode_headers, send_json
from serve.auth import OPEN_PATHS, KeyGuard
from serve.dialects import DIALECTS, Operation, Route
from serve.dialects.sglang.control import ADMIN_PATHS
from serve.direct import DirectWay
from serve.endpoint import Endpoint, OperationEndpoint
from serve.errors import error_body, rust_debug
from serve.hosts import host_guard
from serve.limits import RateLimiter
from serve.metrics import CONTENT_TYPE, Metrics
from serve.service import Service
from serve.settings import Settings
from serve.static import INDEX, StaticFiles

UNLIMITED_PATHS = frozenset(("/health", "/metrics"))  # a probe or a scrape that is refused would look like a fault
_ERRORS = {
    "400": "bad JSON or a bad value",
    "403": "Host or Origin is not one that this server answers to",
    "408": "the body came too slowly",
    "413": "the body is too large",
    "415": "content-type is not application/json",
    "422": "a wrong type, a missing field or a duplicate key",
    "429": "rate limit exceeded; see Retry-After",
    "500": "an error of the server",
    "503": "loading, full, shutting down or failed; see Retry-After",
    "504": "the request took too long",
}


class ModelCard(BaseModel):
    """The model that is served."""

    model_config = ConfigDict(protected_namespaces=())

    parameters: int
    vocab_size: int
    context: int
    chat: bool


class Health(BaseModel):
    """status: ok, loading, draining or failed."""

    status: str
    model: ModelCard
    uptime_s: float


class Error(BaseModel):
    """What every refusal looks like."""

    error: str


def model_card(service: Service) -> ModelCard:
    """The sizes that people ask about first."""
    config, checkpoint = service.config, service.checkpoint
    return ModelCard(
        parameters=config.num_parameters,
        vocab_size=config.vocab_size,
        context=config.block_size,
        chat=checkpoint.is_chat,
    )


def build_app(
    settings: Settings, service: Service, limiter: RateLimiter, info_limiter: RateLimiter | None = None
) -> AccessLayer:
    """Everything that is served over HTTP, as one ASGI application.

    limiter: of what generates. info_limiter: of everything else but probes and scrapes; absent: not limited.
    """
    info_limiter = info_limiter or RateLimiter(None)
    # /docs and /redoc would load their scripts from a CDN. A slash too many is a 404, not a redirect.
    app = FastAPI(
        title="microgpt",
        version=microgpt.__version__,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        exception_handlers={HTTPException: _refuse, Exception: _break_down},
    )
    endpoints: dict[tuple[str, str], Endpoint] = {}
    for dialect in DIALECTS:
        for route in dialect.routes:
            endpoint = Endpoint(
                dialect,
                route,
                service,
                limiter if route.generates else info_limiter,
                max_body_bytes=settings.max_body_bytes,
                request_timeout_s=settings.request_timeout_s,
                log_prompts=settings.log_prompts,
            )
            app.router.routes.append(AsgiRoute(route.path, endpoint, methods=list(route.methods)))
            endpoints |= {(method, route.path): endpoint for method in route.methods}
        for operation in dialect.operations:
            handler = OperationEndpoint(dialect, operation, service, settings)
            operation_route = AsgiRoute(operation.path, handler)
            operation_route.methods = set(operation.methods)  # without HEAD, which comes as GET
            app.router.routes.append(operation_route)
    metrics = Metrics(service.client, lambda: service.model_path)
    _add_info_routes(app, service, metrics)
    files = StaticFiles()
    _add_page(app, files)
    for route in app.routes:
        if isinstance(route, AsgiRoute):
            for method in sorted(route.methods or ()):
                metrics.expect(route.path, method)
    app.openapi = lambda: _openapi(app)
    unlimited = {operation.path for dialect in DIALECTS for operation in dialect.operations if not operation.limited}
    guards: list[Callable[[Scope], bool]] = []  # what the layers below do with requests for endpoints, as conditions
    inner: Any = _Shortcut(_Limited(app, info_limiter, UNLIMITED_PATHS | unlimited), endpoints)
    if settings.api_key or settings.admin_api_key:
        inner = KeyGuard(
            inner,
            api_key=settings.api_key,
            admin_api_key=settings.admin_api_key,
            admin_paths=ADMIN_PATHS,
            open_paths=OPEN_PATHS | {f"/web/{name}" for name in files.sizes if name != INDEX},
        )
        guards.append(inner.admits)
    if settings.cors_origins:
        inner = _Cors(
            inner,
            allow_origins=settings.cors_origins,
            allow_methods=("GET", "HEAD", "POST"),
            allow_headers=("authorization", "content-type", "x-request-id"),
            expose_headers=("x-request-id", "retry-after", "ratelimit", "ratelimit-policy"),
        )
    if guard := host_guard(inner, settings.host, settings.allowed_hosts, settings.cors_origins, ADMIN_PATHS):
        guards.append(guard.admits)
        inner = guard
    layer = AccessLayer(inner, metrics, settings.log_format)
    if not settings.cors_origins:  # that layer adds to answers
        layer.direct_way = DirectWay(layer, guards, endpoints)
    return layer


def _add_info_routes(app: FastAPI, service: Service, metrics: Metrics) -> None:
    card = model_card(service)

    @app.get("/health", response_model=Health, responses={503: {"model": Health}})
    async def health() -> Response:  # pyright: ignore[reportUnusedFunction]
        """200 when requests are accepted, else 503."""
        status = service.status
        body = Health(status=status, model=card, uptime_s=round(service.uptime_s, 3))
        return JSONResponse(body.model_dump(), 200 if status == "ok" else 503)

    @app.get("/metrics", response_class=PlainTextResponse)
    async def read_metrics() -> Response:  # pyright: ignore[reportUnusedFunction]
        """Counters, gauges and histograms in the text format of Prometheus."""
        return Response(metrics.render(), media_type=CONTENT_TYPE)


def _add_page(app: FastAPI, files: StaticFiles) -> None:
    """The chat page; as plain routes, for the API's schema has nothing to say of it."""

    def add(path: str, respond: Callable[[Scope], Response]) -> None:
        async def endpoint(request: Request) -> Response:
            request.scope[SCOPE_KEY].route = path  # which FastAPI notes for its own routes alone
            return respond(request.scope)

        app.router.routes.append(AsgiRoute(path, endpoint))

    add("/", files.index)
    add("/web/{name}", files.asset)


async def _refuse(request: Request, error: Exception) -> Response:
    """404 and 405 as JSON."""
    assert isinstance(error, HTTPException)
    path = rust_debug(request.scope["path"])[1:-1]
    message = {
        404: f"no such route: {path}",
        405: f"method {request.method} is not allowed on {path}",
    }.get(error.status_code, str(error.detail))
    return JSONResponse({"error": message}, error.status_code, error.headers)


async def _break_down(request: Request, error: Exception) -> Response:
    """The 500 of the small routes; the outer layer logs the traceback."""
    return JSONResponse({"error": "internal error"}, 500)


class _Limited:
    """Draws requests on their client's budget, but for those to `unlimited` paths. Wraps an ASGI app."""

    def __init__(self, app: App, limiter: RateLimiter, unlimited: Collection[str]):
        self._app = app
        self._limiter = limiter
        self._unlimited = frozenset(unlimited)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in self._unlimited:
            await self._app(scope, receive, send)
            return
        decision = self._limiter.check(scope)
        headers = self._limiter.headers(decision)
        if not decision.allowed:
            await send_json(send, 429, error_body(decision.message), headers)
            return
        lines = encode_headers(headers)

        async def send_with_budget(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *lines]
            await send(message)

        await self._app(scope, receive, send_with_budget if lines else send)


class _Shortcut:
    """Hands a request whose (method, path) is among `endpoints` to its endpoint, every other one to `app`.

    FastAPI's seven layers and its router cost CPU and have nothing to add for an endpoint that answers for its own
    errors.
    """

    def __init__(self, app: App, endpoints: Mapping[tuple[str, str], Endpoint]):
        self._app = app
        self._endpoints = endpoints

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        app = self._endpoints.get((scope["method"], scope["path"]), self._app) if scope["type"] == "http" else self._app
        return app(scope, receive, send)


class _Cors(CORSMiddleware):
    """Starlette's CORS layer, never with credentials; its refusals as JSON."""

    def preflight_response(self, request_headers: Headers) -> Response:
        response = super().preflight_response(request_headers)
        if response.status_code == 200:
            return response
        kept = {name: value for name, value in response.headers.items() if not name.startswith("content-")}
        return JSONResponse({"error": bytes(response.body).decode()}, response.status_code, kept)


def _openapi(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, with the raw endpoints described from their dialects' models."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, routes=app.routes)
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        for dialect in DIALECTS:
            for route in dialect.routes:
                operation = _operation(route, schemas)
                document["paths"][route.path] = {
                    method.lower(): operation
                    | {"operationId": operation["operationId"] + f"_{method.lower()}" * bool(i)}
                    for i, method in enumerate(route.methods)
                }
            for small in dialect.operations:
                document["paths"][small.path.replace(":path}", "}")] = {
                    method.lower(): _described(small, method, schemas) for method in small.methods
                }
        app.openapi_schema = document
    return app.openapi_schema


def _described(operation: Operation, method: str, schemas: dict[str, Any]) -> dict[str, Any]:
    name = re.sub(r"\W+", "_", operation.path).strip("_")
    described = {
        "summary": operation.summary,
        "operationId": name if len(operation.methods) == 1 else f"{name}_{method.lower()}",
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in re.findall(r"{(\w+)", operation.path)
        ],
        "responses": {"200": {"description": "the answer"}},
    }
    if operation.body is not None and method != "GET":  # OpenAPI has no bodies of GET
        content = {"application/json": {"schema": _schema(operation.body, schemas)}}
        described["requestBody"] = {"required": True, "content": content}
    return described


def _operation(route: Route, schemas: dict[str, Any]) -> dict[str, Any]:
    answer = {"application/json": {"schema": _schema(route.answer_model, schemas)}}
    if route.stream_meaning:
        answer["text/event-stream"] = {"schema": {"type": "string", "description": route.stream_meaning}}
    error = {"application/json": {"schema": _schema(Error, schemas)}}
    return {
        "summary": route.summary,
        "operationId": route.path.strip("/").replace("/", "_"),
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": _schema(route.request_model, schemas)}},
        },
        "responses": {
            "200": {
                "description": "the answer" + "; events with `stream: true`" * bool(route.stream_meaning),
                "content": answer,
            },
            **{status: {"description": meaning, "content": error} for status, meaning in _ERRORS.items()},
        },
    }


def _schema(model: type, schemas: dict[str, Any]) -> dict[str, str]:
    """A reference to the model's schema, which is added to `schemas` with all that it uses."""
    schema = TypeAdapter(model).json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(schema.pop("$defs", {}))
    schemas[model.__name__] = schema
    return {"$ref": f"#/components/schemas/{model.__name__}"}
