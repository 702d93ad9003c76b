"""How a record of a topic is shown: for programs as JSON, for people as one line."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kafka.consumer.fetcher import ConsumerRecord
    from rich.text import Text

STYLES = {
    "firing": "bold red",
    "acknowledged": "yellow",
    "pending": "dim",
    "open": "bold red",
    "merged": "dim green",
    "resolved": "green",
    "retracted": "dim green",
    "critical": "bold red",
    "warning": "yellow",
    "decline": "bold red",
    "review": "yellow",
    "approve": "green",
}


def value(data: bytes | None) -> Any:
    """Return a record's value as plain data, whatever its bytes are."""
    if data is None:
        return None
    try:
        return json.loads(data, parse_constant=_refuse)
    except ValueError:
        return _text(data)


def envelope(record: ConsumerRecord) -> dict[str, Any]:
    """Return a record with its position, key and headers."""
    return {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp": _iso(record.timestamp),
        "key": None if record.key is None else _text(record.key),
        "headers": {name: _text(content or b"") for name, content in record.headers},
        "value": value(record.value),
    }


def line(record: ConsumerRecord) -> Text:
    """Return a record as one line for people: when, about what, and what it says."""
    from rich.text import Text  # noqa: PLC0415 - start-up time

    content = value(record.value)
    shown = Text(f"{_iso(record.timestamp)[11:23]} ", style="dim")
    key = "" if record.key is None else _text(record.key)
    if content is None:
        return shown.append(f"{key} removed", style="dim")
    parts = _headline(content) if isinstance(content, dict) else None
    if parts is None:
        shown.append(f"{key} ", style="bold")
        return shown.append(content if isinstance(content, str) else _compact(content))
    for part in parts:
        shown.append(f"{part} ", style=STYLES.get(part, ""))
    shown.rstrip()
    return shown


def _headline(content: dict[str, Any]) -> list[str] | None:
    """Say what matters of the kinds of values that Tocsin itself publishes."""
    if "alert_id" in content and "summary" in content:
        names = ("state", "severity", "source", "kind", "summary")
        return [str(content.get(name, "")) for name in names]
    if "incident_id" in content and "summary" in content:
        return [str(content.get(name) or "") for name in ("state", "severity", "owner", "summary")]
    if "decision" in content and "transaction_id" in content:
        reasons = "; ".join(map(str, content.get("reasons") or ()))
        score = f"{content.get('fraud_score', 0):.3f}"
        return [str(content["decision"]), str(content.get("account", "")), content["transaction_id"], score, reasons]
    if "reason" in content and "offset" in content:
        position = f"{content.get('topic')}/{content.get('partition')}/{content['offset']}"
        return [str(content["reason"]), position, str(content.get("detail", ""))]
    if "anomaly_score" in content and "p_value" in content:
        scores = f"score {content['anomaly_score']:.3f}", f"p {content['p_value']:.2g}"
        return [str(content.get("source", "")), str(content.get("timestamp", "")), *scores]
    return None


def _refuse(constant: str) -> None:
    # Python reads NaN and Infinity; JSON does not know them, so a program that reads on could not either.
    raise ValueError(constant)


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return "base64:" + base64.b64encode(data).decode()


def _compact(content: Any) -> str:
    return json.dumps(content, ensure_ascii=False, separators=(", ", ": "))


def _iso(milliseconds: int) -> str:
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
