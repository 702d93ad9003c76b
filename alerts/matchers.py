"""Matchers over an alert's labels, written and meant as Alertmanager's."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated

from pydantic import AfterValidator, Field

LONGEST = 2048
"""Characters that matchers may have, so that a pattern stays one that a person wrote."""

_BARE = r"[^\s{}!=~,\\\"'`]+"
_QUOTED = r'"(?:[^"\\\n]|\\.)*"'
_TOKEN = re.compile(rf"\s*(?:(?P<op>=~|!~|!=|=)|(?P<mark>[{{}},])|(?P<quoted>{_QUOTED})|(?P<bare>{_BARE}))")
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", '"': '"'}
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-3][0-7]{2}|.)")


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on one label; a label that is not there is the empty text.

    A pattern (``=~``, ``!~``) must match the whole value. Alertmanager takes Go's RE2 syntax, this Python's ``re``:
    what people write in matchers is the same in both, and lookarounds and back-references exist only here.

    Examples
    --------
    >>> Matcher("source", "=~", "pump-[0-9]+").matches({"source": "pump-7"})
    True
    >>> str(Matcher("site", "!=", 'the "old" one'))
    'site!="the \\\\"old\\\\" one"'

    """

    name: str
    op: str
    value: str

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Say whether labels fulfil the condition."""
        found = labels.get(self.name, "")
        if self.op == "=":
            return found == self.value
        if self.op == "!=":
            return found != self.value
        return (_pattern(self.value).fullmatch(found) is not None) == (self.op == "=~")

    def __str__(self) -> str:
        name = self.name if re.fullmatch(_BARE, self.name) else _quote(self.name)
        return f"{name}{self.op}{_quote(self.value)}"


class MatcherError(ValueError):
    """A text is no matcher; the message says where it is wrong and how one is written."""


@lru_cache(maxsize=4096)
def parse_matchers(text: str) -> tuple[Matcher, ...]:
    """Read matchers as Alertmanager does: separated by commas, in braces or not.

    Names and values may be in double quotes, with Go's escapes, and must be if they hold white space or one of
    ``{}!=~,\\"'`` or a backtick.

    Raises
    ------
    alerts.matchers.MatcherError
        If it cannot be read.

    Examples
    --------
    >>> [str(one) for one in parse_matchers('{severity="critical", source=~"pump-.*"}')]
    ['severity="critical"', 'source=~"pump-.*"']
    >>> parse_matchers("severity")
    Traceback (most recent call last):
    alerts.matchers.MatcherError: 'severity' ends after a name: write a matcher such as severity="critical"

    """
    if len(text) > LONGEST:
        raise MatcherError(f"{text[:40]!r}… has {len(text):,} characters, more than {LONGEST:,}: write it shorter")
    tokens = _tokens(text)
    if tokens and tokens[0] == ("mark", "{"):
        if tokens[-1] != ("mark", "}"):
            raise MatcherError(f"{text!r} opens a brace and does not close it: write {{…}}")
        tokens = tokens[1:-1]
    found = []
    while tokens:
        found.append(_one(tokens, text))
        if tokens and tokens.pop(0) != ("mark", ","):
            raise MatcherError(f"{text!r}: between two matchers must be a comma")
    return tuple(found)


def parse_matcher(text: str) -> Matcher:
    """Read one matcher.

    Raises
    ------
    alerts.matchers.MatcherError
        If it is none, or several.

    """
    found = parse_matchers(text)
    if len(found) != 1:
        raise MatcherError(f"{text!r} holds {len(found)} matchers: write one in each place")
    return found[0]


def matches_all(matchers: Iterable[Matcher], labels: Mapping[str, str]) -> bool:
    """Say whether labels fulfil every condition; they do if there is none."""
    return all(matcher.matches(labels) for matcher in matchers)


def parsed(texts: Iterable[str]) -> tuple[Matcher, ...]:
    """Return the matchers of several texts together: all must match."""
    return tuple(matcher for text in texts for matcher in parse_matchers(text))


def _checked(texts: tuple[str, ...]) -> tuple[str, ...]:
    parsed(texts)
    return texts


Matchers = Annotated[tuple[str, ...], AfterValidator(_checked), Field(max_length=100)]
"""Matchers as they are written in a configuration or a silence."""


def _one(tokens: list[tuple[str, str]], text: str) -> Matcher:
    parts: list[str] = []
    for wanted in (("bare", "quoted"), ("op",), ("bare", "quoted")):
        if not tokens or tokens[0][0] not in wanted:
            at = ("the start", "a name", "an operator")[len(parts)]
            what = f"ends after {at}" if not tokens else f"has {tokens[0][1]!r} after {at}"
            raise MatcherError(f'{text!r} {what}: write a matcher such as severity="critical"')
        parts.append(tokens.pop(0)[1])
    name, op, value = parts
    if not name:
        raise MatcherError(f"{text!r}: the name of a label must not be empty")
    if op in ("=~", "!~"):
        try:
            _pattern(value)
        except re.error as error:
            raise MatcherError(f"{text!r}: {value!r} is no regular expression ({error})") from None
    return Matcher(name, op, value)


def _tokens(text: str) -> list[tuple[str, str]]:
    found, at = [], 0
    text = text.rstrip()
    while at < len(text):
        token = _TOKEN.match(text, at)
        if token is None:
            raise MatcherError(f'{text!r}: {text[at:].strip()[:20]!r} cannot be read: put it in double quotes, "…"')
        kind = str(token.lastgroup)
        found.append((kind, _unquote(token["quoted"]) if kind == "quoted" else token[kind]))
        at = token.end()
    return found


def _unquote(text: str) -> str:
    def meant(escape: re.Match[str]) -> str:
        code = escape[1]
        if code[0] in "xuU" and len(code) > 1:
            number = int(code[1:], 16)
        elif len(code) == 3:
            number = int(code, 8)
        elif code in _ESCAPES:
            return _ESCAPES[code]
        else:
            raise MatcherError(f"{text}: there is no escape \\{code}; write \\\\ for a backslash")
        if number > 0x10FFFF or 0xD800 <= number <= 0xDFFF:
            raise MatcherError(f"{text}: \\{code} is no character")
        return chr(number)

    return _ESCAPE.sub(meant, text[1:-1])


def _quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    for name in "abfnrtv":
        escaped = escaped.replace(_ESCAPES[name], "\\" + name)
    return f'"{escaped}"'


@lru_cache(maxsize=4096)
def _pattern(value: str) -> re.Pattern[str]:
    return re.compile(value)
