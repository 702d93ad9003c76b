"""The model card of a fleet's model: Markdown with metadata, as Hugging Face reads it.

Mitchell et al.: Model Cards for Model Reporting. FAT* 2019; https://huggingface.co/docs/hub/model-cards
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from detectors.artefact import Artefact


def card(artefact: Artefact) -> str:
    """Return the card.

    Parameters
    ----------
    artefact
        A model of remaining useful life.

    """
    schema, metrics = artefact.schema, artefact.metrics
    unit = "s" if schema["seconds"] else f"in units of `{schema['time']}`"
    trained_on = metrics["trained_on"]
    parts = [
        _metadata(artefact),
        f"# {artefact.name}: remaining useful life",
        (
            f"How long a machine will last, from {len(schema['columns'])} sensors, with an interval of 90 % and a"
            f" health index. Version {artefact.created_at}. Times are {unit}."
        ),
        "## Data",
        (
            f"{trained_on['units']:,} machines that failed, {trained_on['rows']:,} readings from `{trained_on['file']}`"
            f" (SHA-256 `{trained_on['sha256']}`). Lives: shortest {trained_on['shortest']:g}, median"
            f" {trained_on['median']:g}, longest {trained_on['longest']:g}."
            f"{_since(trained_on)} Each machine is taken to have failed at its last reading."
            f"{_modes(trained_on['modes'])}"
        ),
        f"Sensors: {', '.join(f'`{name}`' for name in schema['columns'])}.{_left_out(trained_on['constant'])}",
        "## Intended use",
        (
            "To plan maintenance of machines of the same kind, sensors and use as those above, beside the judgement of"
            " people who know them. Not as the only safeguard where a failure endangers people."
        ),
        "## How it works",
        (
            "A running machine is compared with all conditions that failed machines went through; what they had left"
            " then is weighted by likeness. Lives are told up to a horizon of"
            f" {schema['horizon']:g}: a machine with more left is told to have that or more. The upper bound may be"
            " beyond. Health falls from 1, as young machines of this fleet are, to 0, as far from that as its worst."
        ),
        "## Metrics",
        _metrics(metrics),
        "## Limits",
        (
            "It knows no failure that the machines above did not have, and no use they were not put to; a machine"
            " unlike all is told what the nearest had, with no warning beyond a low health. Sensors that are exchanged"
            " or calibrated anew look like wear or recovery. Intervals cover machines drawn as those above were; where"
            " use drifts, they do not hold. A machine's age counts from its first reading."
        ),
        "## Fairness and privacy",
        (
            "It is about machines. Names of machines that failed are kept in the model and shown as reasons; where"
            " they, or hours of use, point to people who worked with them, rename them before training."
        ),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _metadata(artefact: Artefact) -> str:
    metrics = artefact.metrics
    lines = [
        "---",
        "library_name: tocsin",
        "pipeline_tag: tabular-regression",
        "tags:",
        "- predictive-maintenance",
        "- remaining-useful-life",
        "model-index:",
        f"- name: {artefact.name}",
        "  results:",
        "  - task:",
        "      type: tabular-regression",
        "      name: Remaining useful life",
        "    dataset:",
        f"      name: {metrics['trained_on']['file']}",
        "      type: run-to-failure",
        "    metrics:",
    ]
    told = [(name, metrics[name]) for name in ("rmse", "mae", "coverage") if metrics.get(name) is not None]
    for name, value in told:
        lines += [f"    - type: {name}", f"      value: {value:.4g}"]
    return "\n".join([*(lines if told else lines[:6]), "---"])


def _metrics(metrics: Mapping[str, Any]) -> str:
    if metrics.get("rmse") is None:
        return "Of one machine, nothing can be validated: there is no other to try it on."
    rows = [
        ("root mean square error", f"{metrics['rmse']:.2f}"),
        ("mean absolute error", f"{metrics['mae']:.2f}"),
        ("NASA score, mean", f"{metrics['nasa_score']:.2f}"),
    ]
    if metrics["coverage"] is None:
        note = "\n\nWith so few machines, intervals say only that nobody knows: from nothing to the longest life."
    else:
        rows.append(("coverage of intervals of 90 %", f"{metrics['coverage']:.1%}"))
        rows.append(("width of intervals", f"{metrics['width']:.1f}"))
        note = ""
    table = "\n".join(["| | |", "|---|---:|", *(f"| {name} | {value} |" for name, value in rows)])
    return (
        f"By cross-validation over machines, at {metrics['rows']:,} moments evenly through their lives, lives capped at"
        f" the horizon:\n\n{table}{note}"
    )


def _since(trained_on: Mapping[str, Any]) -> str:
    count = trained_on.get("learned_since", 0)
    return f" Of the machines, {count:,} failed while the model was in use." if count else ""


def _modes(modes: Mapping[str, int]) -> str:
    if not modes:
        return ""
    return " What failed: " + ", ".join(f"{name} ({count})" for name, count in sorted(modes.items())) + "."


def _left_out(names: list[str]) -> str:
    return f" Left out, since they never moved: {', '.join(f'`{name}`' for name in names)}." if names else ""
