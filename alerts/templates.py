"""The words of a notification: Jinja templates in a sandbox."""

from __future__ import annotations

from typing import Any

from jinja2 import StrictUndefined, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from pydantic import BaseModel, ConfigDict, Field, model_validator

from alerts.alert import Severity, State, Time
from alerts.notification import News, Notification, NotifiedAlert
from alerts.summary import clock, duration, number, odds

TITLE = """\
[{{ status | upper }}{% if status == "firing" %}:{{ firing }}{% endif %}] \
{% if alerts | length == 1 and not truncated %}{{ alerts[0].source }}: {{ alerts[0].kind }}\
{% else %}{{ firing + resolved }} alerts{% if group %} of {{ group.values() | join(", ") }}{% endif %}{% endif %}"""

BODY = """\
{% for alert in alerts %}
{{ alert.state | upper }} {{ alert.severity }}: {{ alert.summary }}
{% if alert.value is not none %}
  {{ alert.name }}: {{ alert.value | number }}\
{% if alert.expected is not none %}, expected {{ alert.expected | number }}\
{% if alert.lower is not none and alert.upper is not none %} ({{ alert.lower | number }} to {{ alert.upper | number }})\
{% endif %}{% endif %}

{% endif %}
  since {{ alert.started_at | clock }} UTC{% if alert.state in ("resolved", "retracted") %}, over after \
{{ (alert.updated_at - alert.started_at) | duration }}{% endif %}; {{ alert.kind }}, {{ alert.p_value | odds }}
{% if alert.assignee %}
  looked after by {{ alert.assignee }}
{% endif %}
{% if alert.runbook %}
  what to do: {{ alert.runbook }}
{% endif %}
{% if alert.incident %}
{% for cause in alert.incident.causes %}
  cause, {{ (100 * cause.score) | round | int }} %: {{ cause.source }}
{% for one in cause.evidence %}
    {{ one.kind }}: {{ one.detail }}
{% endfor %}
{% endfor %}
{% if alert.state not in ("resolved", "retracted") %}
{% for one in alert.incident.advice %}
  what to do about {{ one.cause }} ({{ one.runbook }}): {{ one.steps | join("; ") }}\
{% if one.url %} {{ one.url }}{% endif %}

{% endfor %}
{% for one in alert.incident.similar if one.resolved_by %}
  incident {{ one.incident_id }} looked like it, and was resolved by {{ one.resolved_by }}
{% endfor %}
{% endif %}
{% for entry in alert.incident.timeline %}
  {{ entry.at | clock }} {{ entry.what }}: {{ entry.detail }}
{% endfor %}
{% endif %}
{% if link(alert) %}
  {{ link(alert) }}
{% endif %}
{% endfor %}
{% if truncated %}
… and {{ truncated }} more
{% endif %}
{% if suppressed_count %}
{{ suppressed_count }} more of this group not told: {% for one in suppressed[:5] %}{{ one.source }} {{ one.kind }} \
({{ one.by[0].kind }} {{ one.by[0].id }}){{ ", " if not loop.last }}{% endfor %}

{% endif %}"""

LONGEST = 20_000
"""Characters of a title and body together; what is longer is cut."""


class Templates(BaseModel):
    """Jinja templates of what people read.

    They see the fields of the notification (topic `notifications`), of which `alert.incident` tells of an incident,
    `link(alert)`, and the filters `clock`, `duration`, `number` and `odds`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str = Field(TITLE, description="One line.")
    body: str = Field(BODY, description="The text below.")
    link: str = Field("", description="Address about an alert, such as a dashboard's; it sees `alert`.")

    @model_validator(mode="after")
    def _can_be_rendered(self) -> Templates:
        Renderer(self).render(EXAMPLE)
        return self


class TemplateFailedError(ValueError):
    """A template cannot be rendered; the message says which and why."""


class Renderer:
    """Renders notifications; what a template does wrong is an error of its own, and never reaches beyond the sandbox.

    Raises
    ------
    alerts.templates.TemplateFailedError
        If a template is no valid Jinja.

    Examples
    --------
    >>> Renderer(Templates()).render(EXAMPLE).title
    '[FIRING:1] pump-7: spike'

    """

    def __init__(self, templates: Templates) -> None:
        environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
        environment.filters |= {"clock": clock, "duration": duration, "number": number, "odds": odds}
        self._compiled = {}
        for name in ("title", "body", "link"):
            try:
                self._compiled[name] = environment.from_string(getattr(templates, name))
            except TemplateError as error:
                raise TemplateFailedError(f"{name}: {error}") from None

    def link(self, alert: NotifiedAlert) -> str:
        """Return the address about an alert; empty if there is none."""
        return self._render("link", {"alert": alert}).strip()

    def render(self, notification: Notification) -> Notification:
        """Return a notification with title and body.

        Raises
        ------
        alerts.templates.TemplateFailedError
            If a template asks for what is not there, or does what is not allowed.

        """
        fields: dict[str, Any] = {name: getattr(notification, name) for name in type(notification).model_fields}
        fields["link"] = self.link
        title = " ".join(self._render("title", fields).split())
        return notification.model_copy(
            update={"title": title[:250], "body": self._render("body", fields).strip()[:LONGEST]}
        )

    def _render(self, name: str, fields: dict[str, Any]) -> str:
        try:
            return self._compiled[name].render(fields)
        except (TemplateError, TypeError, ValueError, LookupError, ArithmeticError, AttributeError) as error:
            raise TemplateFailedError(f"{name}: {error}") from None


def _example() -> Notification:
    at: Time = 1767323045.0
    alert = NotifiedAlert(
        alert_id="1a3d819cb05b264e8214",
        version=1,
        state=State.FIRING,
        severity=Severity.CRITICAL,
        stream="telemetry",
        source="pump-7",
        kind="spike",
        started_at=at,
        fired_at=at,
        updated_at=at,
        anomaly_score=0.95,
        p_value=1e-7,
        name="temperature",
        value=93.0,
        expected=70.9,
        lower=70.0,
        upper=72.2,
        summary="pump-7: temperature jumped to 93, above the expected 70.9 (70 to 72.2).",
        labels={"alertname": "TocsinSpike", "source": "pump-7"},
        news=News.NEW,
    )
    return Notification(
        notification_id="example",
        receiver="ops",
        route="/{}",
        group={"source": "pump-7"},
        status="firing",
        at=at,
        firing=1,
        alerts=(alert,),
    )


EXAMPLE = _example()
"""What templates are tried on when they are read."""
