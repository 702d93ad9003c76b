"""What the documentation shows works: commands parse, settings validate, events decode, code runs."""

from __future__ import annotations

import importlib
import json
import random
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml
from pydantic import BaseModel

from alerts.happening import ChangeEvent
from alerts.policies import PolicyVersion
from streams.codec import decode
from streams.schemas import (
    CommandEvent,
    EventLimits,
    LabelEvent,
    PromotionEvent,
    TelemetryEvent,
    TransactionEvent,
)
from tocsin.cli import app
from tocsin.config import load_configuration
from tocsin.policy_file import read_policies

REPOSITORY = Path(__file__).parents[1]
PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
WRITTEN = [page for page in PAGES if page.parent.name != "reference"]
MODELS: dict[str, type[BaseModel]] = {
    "values": TelemetryEvent,
    "amount": TransactionEvent,
    "label": LabelEvent,
    "policy": PolicyVersion,
    "command": CommandEvent,
    "change_id": ChangeEvent,
    "order": PromotionEvent,
}


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


def commands(page: Path) -> Iterator[str]:
    """Commands of Tocsin in a page, in blocks and in sentences."""
    for block in blocks(page, "sh"):
        for line in block.splitlines():
            yield from (part.strip() for part in re.split(r"\s[|&]+\s", line) if part.strip().startswith("tocsin "))
    prose = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    yield from re.findall(r"`(tocsin [a-z][^`]*)`", prose)


def shown(kind: str) -> list[Any]:
    """Every block of a language as a parameter that names its page."""
    return [
        pytest.param(block, id=f"{page.relative_to(REPOSITORY)}-{number}")
        for page in WRITTEN
        for number, block in enumerate(blocks(page, kind))
    ]


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_every_command_line_parses(page: Path):
    for line in commands(page):
        command: Any = typer.main.get_command(app)
        words = shlex.split(line, comments=True)[1:]
        while words and hasattr(command, "commands") and not words[0].startswith("-"):
            assert words[0] in command.commands, line
            command = command.commands[words.pop(0)]
        if words and "--help" not in words:
            command.make_context("tocsin", words)  # raises what the user would be told


@pytest.mark.parametrize("text", shown("yaml"))
def test_every_setting_validates(text: str, tmp_path: Path):
    if "rules of Prometheus" in text:
        assert yaml.safe_load(text)["groups"]
        return
    file = tmp_path / "tocsin.yaml"
    if "\npolicies:" in text:
        file.write_text(text)
        assert read_policies(file)
        return
    (tmp_path / "secret").write_text("a secret")
    file.write_text(re.sub(r"_file: /run/secrets/\S+", "_file: secret", text))
    load_configuration(file, environment={})


@pytest.mark.parametrize("text", shown("json"))
def test_every_event_decodes(text: str):
    model = next(model for field, model in MODELS.items() if field in json.loads(text))
    assert isinstance(decode(model, text.encode(), EventLimits()), model)


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_every_link_leads_somewhere(page: Path):
    generated = {"command-line.md", "configuration.md", "metrics.md", "topics.md", "asyncapi.yaml"}
    for target in re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", page.read_text()):
        assert (page.parent / target).exists() or Path(target).name in generated, target


@pytest.fixture(params=["Step", "Jump"])
def jump(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The detectors of the how-to, a signal and plain Python, imported as a package would be."""
    page = blocks(REPOSITORY / "docs" / "how-to" / "write-a-detector.md", "python")
    (code,) = (block for block in page if f"class {request.param}(" in block)
    module = f"{request.param.lower()}_of_the_how_to"
    (tmp_path / f"{module}.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("detectors.compiled.CODE_CACHE", None)  # its file is gone after the test
    return getattr(importlib.import_module(module), request.param)


def test_the_detector_of_the_how_to_restores_exactly(jump: Any):
    events = [({"x": i * 7919 % 101 / 10.0 + 50.0 * (i == 150), "y": i % 5 / 3}, float(i)) for i in range(200)]
    one, other = jump(), jump()
    before = [one.process_one(x, t).p_value for x, t in events[:100]]
    other.restore(one.snapshot())
    assert before
    assert [one.process_one(x, t) for x, t in events[100:]] == [other.process_one(x, t) for x, t in events[100:]]


def test_the_detector_of_the_how_to_finds_a_jump(jump: Any):
    detector, chance = jump(), random.Random(1)
    usual = [detector.process_one({"x": chance.gauss(0, 1)}, float(i)).p_value for i in range(500)]
    assert detector.process_one({"x": 100.0}, 500.0).p_value < min(usual)


def test_the_detector_of_the_how_to_is_announced_under_the_name_it_is_configured_by():
    page = REPOSITORY / "docs" / "how-to" / "write-a-detector.md"
    (toml,), (settings, *_) = blocks(page, "toml"), blocks(page, "yaml")
    announced = tomllib.loads(toml)["project"]["entry-points"]["tocsin.detectors"]
    assert yaml.safe_load(settings)["telemetry"]["detector"]["name"] in announced


def test_the_recording_of_the_tutorial_raises_the_alerts_it_promises(tmp_path: Path):
    tutorial = REPOSITORY / "docs" / "tutorial.md"
    subprocess.run([sys.executable, "-c", blocks(tutorial, "python")[0]], cwd=tmp_path, check=True)
    line = next(line for line in commands(tutorial) if line.startswith("tocsin backtest"))
    arguments = [sys.executable, "-m", "tocsin", *shlex.split(line)[1:], "--json"]
    done = subprocess.run(arguments, cwd=tmp_path, check=True, capture_output=True, text=True)
    assert json.loads(done.stdout)["alerts"] == 6


def test_the_examples_of_the_page_on_topics_decode(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(REPOSITORY / "docs")
    import generate_topics

    for event in generate_topics.EVENTS.values():
        model = next(model for field, model in MODELS.items() if field in event)
        assert isinstance(decode(model, json.dumps(event).encode(), EventLimits()), model)


def test_the_page_on_topics_shows_every_topic_with_an_example(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(REPOSITORY / "docs")
    import generate_topics

    page = generate_topics.topics()
    assert re.findall(r"^## (.*)", page, re.MULTILINE)[-1] == "dead-letters"
    assert page.count("```json") == len(generate_topics.CONTENTS)


def test_the_documentation_builds_without_a_warning(tmp_path: Path):
    subprocess.run([sys.executable, "docs/generate.py"], cwd=REPOSITORY, check=True)
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    done = subprocess.run(build, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
