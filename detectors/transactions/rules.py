"""Rules that people write: decision graphs in the JSON Decision Model, evaluated by zen-engine."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args

import msgspec
import zen

Verb = Literal["allow", "block", "review"]
"""What a rule may ask for, the strongest first."""

NODES = ("inputNode", "outputNode", "decisionTableNode", "expressionNode", "switchNode")
"""Kinds of nodes that a graph may have: none of them runs a program."""

MOST_BYTES = 512 * 1024

_CHANGES = re.compile(r"""\brand\s*\(|\b(?:d|date|time)\s*\(\s*\)|['"`]now['"`]""")
"""What would make a replay decide otherwise than the first run: chance and the clock."""


class RuleError(ValueError):
    """A graph cannot be used; the message says where it is wrong and why."""


class Finding(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a rule set says of a transaction.

    Parameters
    ----------
    rules
        The rule set and its version, as ``night@3``.
    action
        What it asks for; ``None`` is nothing.
    reason
        Why, in the words of the rule.
    shadow
        Whether it is only noted.
    error
        Why it could not be evaluated; then it asks for nothing.

    """

    rules: str
    action: Verb | None = None
    reason: str = ""
    shadow: bool = False
    error: str = ""


class RuleSet:
    """A graph that can be asked about transactions.

    It is asked with ``transaction`` (its fields), ``features``, ``score`` and ``lists`` (the fields by which the
    transaction stands on ``lists.allow``, ``block`` and ``watch``), and answers with an ``action`` and a ``reason``, or
    with a list of them, of which the strongest counts.

    Parameters
    ----------
    name
        Name and version.
    graph
        The graph as JSON: https://docs.gorules.io/developers/jdm/standard

    Raises
    ------
    detectors.transactions.rules.RuleError
        If it is no graph, has nodes that run programs, or an expression that cannot be read.

    Examples
    --------
    >>> graph = table([{"field": "transaction.amount"}], [["> 1000", "'block'", "'large'"]])
    >>> rules = RuleSet("large@1", json.dumps(graph))
    >>> rules.ask({"transaction": {"amount": 2000.0}})
    Finding(rules='large@1', action='block', reason='large', shadow=False, error='')
    >>> rules.ask({"transaction": {"amount": 20.0}}).action

    """

    def __init__(self, name: str, graph: str) -> None:
        self.name = name
        check(graph)
        try:
            content = zen.ZenDecisionContent(graph)
            # An engine that has loaded the graph answers in a twentieth of the time that a decision of its own takes.
            self._engine = zen.ZenEngine({"loader": lambda _: content})
        except RuntimeError as error:
            raise RuleError(_first_line(error)) from None

    def ask(self, facts: Mapping[str, Any], *, shadow: bool = False) -> Finding:
        """Return what the rules say; a rule that fails says so and asks for nothing."""
        try:
            action, reason = self._answer(facts)
        except Exception as error:  # zen-engine raises bare ones, for instance at numbers beyond 1e29
            return Finding(self.name, shadow=shadow, error=_first_line(error))
        return Finding(self.name, action, reason, shadow)

    def _answer(self, facts: Mapping[str, Any]) -> tuple[Verb | None, str]:
        result = self._engine.evaluate("rules", dict(facts))["result"]
        answers = result if isinstance(result, list) else [result]
        found: dict[str, str] = {}
        for one in answers:
            action = one.get("action") if isinstance(one, dict) else None
            if action is None or action == "none":
                continue
            if action not in get_args(Verb):
                raise RuleError(f"action: {action!r} is none of {', '.join(get_args(Verb))}")
            found.setdefault(action, str(one.get("reason") or ""))
        for verb in get_args(Verb):
            if verb in found:
                return verb, found[verb]
        return None, ""


def check(graph: str) -> None:
    """Look through a graph before it is used: zen-engine takes much that it cannot evaluate.

    Raises
    ------
    detectors.transactions.rules.RuleError
        With line and column where the JSON is wrong, else with the node and the cell.

    """
    if len(graph) > MOST_BYTES:
        raise RuleError(f"it has {len(graph):,} characters, more than {MOST_BYTES:,}")
    try:
        found = json.loads(graph)
    except json.JSONDecodeError as error:
        raise RuleError(f"line {error.lineno}, column {error.colno}: {error.msg}") from None
    if (
        not isinstance(found, dict)
        or not isinstance(found.get("nodes"), list)
        or not isinstance(found.get("edges"), list)
    ):
        raise RuleError("it is no decision graph: there must be lists `nodes` and `edges`")
    kinds = [node.get("type") if isinstance(node, dict) else None for node in found["nodes"]]
    for node, kind in zip(found["nodes"], kinds, strict=True):
        if kind not in NODES:
            raise RuleError(f"node {_name(node)}: {kind} is none of {', '.join(NODES)}; none may run a program")
        for what, expression, unary in _expressions(node):
            if changing := _CHANGES.search(expression):
                where = f"{_at(graph, expression)}node {_name(node)}, {what}"
                raise RuleError(f"{where}: {changing.group()!r} differs from one time to the next: use the transaction")
            try:
                (zen.compile_unary_expression if unary else zen.compile_expression)(expression)
            except RuntimeError as error:
                where = f"{_at(graph, expression)}node {_name(node)}, {what}"
                raise RuleError(f"{where}: {expression!r}: {_said(error)}") from None
    for kind in ("inputNode", "outputNode"):
        if kind not in kinds:
            raise RuleError(f"it has no {kind}")


def _expressions(node: dict[str, Any]) -> Iterator[tuple[str, str, bool]]:
    """Yield what each expression of a node is, the expression, and whether it is the cell of a condition."""
    content = node.get("content")
    if not isinstance(content, dict):
        return
    if node["type"] == "expressionNode":
        for one in content.get("expressions", ()):
            yield f"expression {one.get('key')!r}", str(one.get("value") or "null"), False
    if node["type"] == "switchNode":
        for number, one in enumerate(content.get("statements", ()), 1):
            if one.get("condition"):
                yield f"condition {number}", str(one["condition"]), False
    if node["type"] == "decisionTableNode":
        yield from _cells(content)


def _cells(content: dict[str, Any]) -> Iterator[tuple[str, str, bool]]:
    inputs, outputs = content.get("inputs", ()), content.get("outputs", ())
    for number, row in enumerate(content.get("rules", ()), 1):
        for column in (*inputs, *outputs):
            cell = str(row.get(column.get("id")) or "").strip()
            if cell and cell != "-":
                what = f"rule {number}, column {column.get('name') or column.get('field')!r}"
                yield what, cell, column in inputs and bool(column.get("field"))


def table(inputs: list[dict[str, str]], rows: list[list[str]]) -> dict[str, Any]:
    """Return the graph of one decision table with columns for action and reason; the first row that fits counts."""
    columns = [{"id": f"in{i}", "name": one["field"], **one} for i, one in enumerate(inputs)]
    outputs = [{"id": name, "name": name, "field": name} for name in ("action", "reason")]
    ids = [one["id"] for one in (*columns, *outputs)]
    rules = [{"_id": str(i), **dict(zip(ids, row, strict=True))} for i, row in enumerate(rows)]
    content = {"hitPolicy": "first", "inputs": columns, "outputs": outputs, "rules": rules}
    place = {"x": 0, "y": 0}
    return {
        "nodes": [
            {"id": "in", "type": "inputNode", "name": "request", "position": place},
            {"id": "rules", "type": "decisionTableNode", "name": "rules", "position": place, "content": content},
            {"id": "out", "type": "outputNode", "name": "response", "position": place},
        ],
        "edges": [
            {"id": "1", "type": "edge", "sourceId": "in", "targetId": "rules"},
            {"id": "2", "type": "edge", "sourceId": "rules", "targetId": "out"},
        ],
    }


def _name(node: Any) -> str:
    return repr(node.get("name") or node.get("id")) if isinstance(node, dict) else repr(node)


def _at(graph: str, expression: str) -> str:
    """Return the line of an expression in the file, if it can be found there."""
    place = graph.find(json.dumps(expression))
    return "" if place < 0 else f"line {graph.count(chr(10), 0, place) + 1}: "


def _said(error: RuntimeError) -> str:
    """Return what zen-engine says of an expression, which is JSON."""
    said = _first_line(error)
    try:
        return str(json.loads(said)["source"])
    except (ValueError, KeyError, TypeError):
        return said


def _first_line(error: Exception) -> str:
    parts = [line.strip() for line in str(error).partition("Stack backtrace")[0].splitlines() if line.strip()]
    return " ".join(part for part in parts if part != "Caused by:")[:300]
