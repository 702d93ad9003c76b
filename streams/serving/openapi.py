"""The OpenAPI 3.1 document of `tocsin serve`, made from the types that it decodes and encodes.

https://spec.openapis.org/oas/v3.1.0
"""

from __future__ import annotations

from typing import Any

import msgspec

from streams.decisions import DecisionRecord
from streams.schemas import TransactionEvent

REFERENCE = "#/components/schemas/"
PROBLEM = {
    "type": "object",
    "description": "What went wrong (RFC 9457)",
    "required": ["title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What is wrong and how to mend it"},
        "reason": {"type": "string", "description": "Of a transaction that cannot be taken, as dead letters have it"},
    },
}
PROBLEMS = {
    "400": "The transaction is not one; `detail` names the field and the fix",
    "401": "No valid token",
    "422": "The worker could not take the transaction: it is far too old, or in the wrong place",
    "503": "Too many callers wait, or Kafka cannot be reached; `Retry-After` says when to come again",
}


def openapi(version: str) -> dict[str, Any]:
    """Return the document.

    Parameters
    ----------
    version
        Of Tocsin.

    Examples
    --------
    >>> document = openapi("1.0")
    >>> sorted(document["paths"]["/v1/decisions"]["post"]["responses"])
    ['200', '400', '401', '422', '503']

    """
    _, schemas = msgspec.json.schema_components([DecisionRecord], ref_template=REFERENCE + "{name}")
    schemas["Answer"] = {
        "description": "A decision, or the fall-back if `fallback` is true",
        "anyOf": [
            {
                "allOf": [{"$ref": REFERENCE + "DecisionRecord"}],
                "properties": {"fallback": {"const": False}},
            },
            {"$ref": REFERENCE + "Fallback"},
        ],
    }
    schemas["Fallback"] = {
        "type": "object",
        "description": "There was no decision in time; topic `decisions` may yet have one",
        "required": ["transaction_id", "decision", "reasons", "fallback"],
        "properties": {
            **{name: {"type": "string"} for name in ("transaction_id", "account", "counterparty")},
            "amount": {"type": "number"},
            "decision": {"enum": ["approve", "review", "decline"]},
            "reasons": {"type": "array", "items": {"type": "string"}},
            "fallback": {"const": True},
        },
    }
    schemas["Problem"] = PROBLEM
    schemas["TransactionEvent"] = TransactionEvent.model_json_schema(ref_template=REFERENCE + "{model}")
    schemas |= schemas["TransactionEvent"].pop("$defs", {})
    problem = {"application/problem+json": {"schema": {"$ref": REFERENCE + "Problem"}}}
    answers = {"200": {"description": "The decision", "content": _content("Answer")}}
    answers |= {status: {"description": said, "content": problem} for status, said in PROBLEMS.items()}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Tocsin decisions", "version": version, "license": {"name": "Apache-2.0"}},
        "paths": {
            "/v1/decisions": {
                "post": {
                    "operationId": "decide",
                    "summary": "Decide a transaction, and wait for the decision",
                    "description": "A transaction is decided once: who asks again, with the same id, is told the same.",
                    "security": [{"token": []}],
                    "requestBody": {"required": True, "content": _content("TransactionEvent")},
                    "responses": answers,
                }
            }
        },
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _content(schema: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": REFERENCE + schema}}}
