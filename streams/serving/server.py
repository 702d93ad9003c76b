"""The HTTP interface of `tocsin serve`: one question, its answer, and what it looks like."""

from __future__ import annotations

import asyncio
import time
from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from aiohttp import web
from aiokafka.errors import KafkaError
from prometheus_client import Counter, Gauge, Histogram

from streams.codec import Rejected, decode
from streams.dead_letters import DeadLetter
from streams.schemas import EventLimits, TransactionEvent
from streams.serving.gateway import Gateway
from streams.serving.openapi import openapi
from streams.serving.settings import ServeSettings

log = structlog.get_logger(__name__)

LARGEST_BODY = 1024 * 1024

ANSWERS = Counter(
    "tocsin_http_answers_total",
    "Answers to those who asked for a decision; `refused` are dead letters, and `busy` are to come again.",
    ["outcome"],
)
WAITING = Gauge("tocsin_http_waiting", "Callers that wait for a decision.")
SECONDS = Histogram(
    "tocsin_http_decision_seconds",
    "From a question to its decision; fall-back decisions included.",
    buckets=(0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
OUTCOMES = ("decided", "fallback", "invalid", "refused", "unauthorized", "busy")


class DecisionServer:
    """Answers ``POST /v1/decisions``.

    Parameters
    ----------
    settings
        Who may ask, and for how long answers may take.
    limits
        What a transaction may be.
    gateway
        Where transactions are decided.
    version
        Of Tocsin.

    """

    def __init__(self, settings: ServeSettings, limits: EventLimits, gateway: Gateway, version: str) -> None:
        self._settings, self._limits, self._gateway = settings, limits, gateway
        self._tokens = settings.tokens()
        self._document = msgspec.json.encode(openapi(version))
        self._waiting = 0
        for outcome in OUTCOMES:
            ANSWERS.labels(outcome)

    def app(self) -> web.Application:
        """Return what is to be served."""
        app = web.Application(client_max_size=LARGEST_BODY)
        app.router.add_post("/v1/decisions", self._decide)
        app.router.add_get("/openapi.json", self._describe)
        return app

    async def _describe(self, request: web.Request) -> web.Response:
        return web.Response(body=self._document, content_type="application/json")

    async def _decide(self, request: web.Request) -> web.Response:
        if not self._tokens.admit(request.headers.get("Authorization")):
            return _problem("unauthorized", HTTPStatus.UNAUTHORIZED, "send `Authorization: Bearer` with a token")
        if self._waiting >= self._settings.concurrency or not self._gateway.ready:
            why = "too many wait already" if self._gateway.ready else "not connected with Kafka"
            return _problem("busy", HTTPStatus.SERVICE_UNAVAILABLE, f"{why}: come again", {"Retry-After": "1"})
        value = await request.read()
        event = decode(TransactionEvent, value, self._limits)
        if isinstance(event, Rejected):
            return _problem("invalid", HTTPStatus.BAD_REQUEST, event.detail, reason=event.reason.value)
        self._waiting += 1
        WAITING.set(self._waiting)
        try:
            with SECONDS.time():
                return await self._answered(event, value)
        finally:
            self._waiting -= 1
            WAITING.set(self._waiting)

    async def _answered(self, event: TransactionEvent, value: bytes) -> web.Response:
        began = time.monotonic()
        try:
            async with asyncio.timeout(self._settings.timeout):
                answer = await self._gateway.decide(event, value)
        except TimeoutError:
            return self._fall_back(event, f"no decision within {self._settings.timeout:g} s")
        except KafkaError as error:
            log.warning("transaction_not_sent", error=str(error) or type(error).__name__)
            return self._fall_back(event, "the transaction could not be sent")
        if isinstance(answer, DeadLetter):
            return _problem("refused", HTTPStatus.UNPROCESSABLE_ENTITY, answer.detail, reason=answer.reason.value)
        ANSWERS.labels("decided").inc()
        seconds = time.monotonic() - began
        timing = {"Server-Timing": f"decide;dur={1000 * seconds:.1f}"}
        return _json({**msgspec.to_builtins(answer), "fallback": False}, timing)

    def _fall_back(self, event: TransactionEvent, why: str) -> web.Response:
        """Answer without a decision; topic ``decisions`` will have the true one if the transaction was sent."""
        ANSWERS.labels("fallback").inc()
        log.warning("fallback_decision", transaction=event.transaction_id, reason=why)
        said = {
            "transaction_id": event.transaction_id,
            "account": event.account,
            "counterparty": event.counterparty,
            "amount": event.amount,
            "decision": self._settings.fallback,
            "reasons": [why],
            "fallback": True,
        }
        return _json(said)


def _json(said: dict[str, Any], headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(body=msgspec.json.encode(said), content_type="application/json", headers=headers)


def _problem(
    outcome: str, status: HTTPStatus, detail: str, headers: dict[str, str] | None = None, **more: str
) -> web.Response:
    """Return what went wrong, as RFC 9457 has it."""
    ANSWERS.labels(outcome).inc()
    said = {"type": "about:blank", "title": status.phrase, "status": status.value, "detail": detail, **more}
    return web.Response(
        body=msgspec.json.encode(said), status=status, content_type="application/problem+json", headers=headers
    )
