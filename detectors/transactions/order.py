"""In which order lists, rules and the score decide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from detectors.transactions.decision import Decision
from detectors.transactions.rules import Finding

NOTHING: Mapping[str, Mapping[str, str]] = {"allow": {}, "block": {}, "watch": {}}


def ordered(decision: Decision, hits: Mapping[str, Mapping[str, str]], findings: Sequence[Finding]) -> Decision:
    """Return the decision once lists and rules have had their say over that of the score.

    Who is allowed is allowed, whatever else is said; then who is blocked is blocked; then what is to be looked at is
    looked at, unless the score declines it. At each step lists come before rules, and the first rule set that asks for
    it gives the reason. This is the order of Stripe Radar: allow, block, review (https://docs.stripe.com/radar/rules).

    Parameters
    ----------
    decision
        That of the score.
    hits
        What stands on lists, as ``Lists.hits`` has it.
    findings
        What the rule sets say; those in shadow count for nothing.

    Examples
    --------
    >>> score = Decision("decline", ("first payment to this counterparty",))
    >>> said = [Finding("night@1", "block", "at night"), Finding("friends@2", "allow", "a friend")]
    >>> ordered(score, NOTHING, said)
    Decision(verdict='approve', reasons=('rule friends@2: a friend',))
    >>> ordered(score, {**NOTHING, "watch": {"account": "odd"}}, []).verdict
    'decline'

    """
    said = {one.action: one for one in reversed(findings) if one.action is not None and not one.shadow}

    def reasons(name: str, verb: str) -> tuple[str, ...]:
        found = [f"on the {name} list by {field}: {why}".rstrip(": ") for field, why in hits[name].items()]
        rule = said.get(verb)  # type: ignore[call-overload]
        return (*found, f"rule {rule.rules}: {rule.reason}".rstrip(": ")) if rule else tuple(found)

    if because := reasons("allow", "allow"):
        return Decision("approve", because)
    if because := reasons("block", "block"):
        return Decision("decline", (*because, *decision.reasons))
    if because := reasons("watch", "review"):
        verdict = "review" if decision.verdict == "approve" else decision.verdict
        return Decision(verdict, (*because, *decision.reasons))
    return decision
