"""What every command has in common: help, exit codes, one-line errors, a quick start."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main

from tocsin.cli import app

NOBODY = "127.0.0.1:9"  # the discard port: nothing listens there


def tocsin(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tocsin", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **options)


def commands() -> Iterator[tuple[str, Any]]:
    pending = [("", typer.main.get_command(app))]
    while pending:
        path, command = pending.pop()
        yield path, command
        below = getattr(command, "commands", {})
        pending.extend((f"{path} {name}".strip(), child) for name, child in below.items())


EVERY = dict(commands())
LEAVES = sorted(path for path, command in EVERY.items() if not getattr(command, "commands", None))


def test_every_promised_command_is_there():
    assert {
        "worker",
        "produce telemetry",
        "produce transactions",
        "produce labels",
        "tail",
        "label",
        "topics create",
        "topics list",
        "check",
        "backtest telemetry",
        "backtest transactions",
        "broker",
    } <= set(LEAVES)


@pytest.mark.parametrize("path", sorted(EVERY))
def test_help_says_what_each_option_means_and_shows_an_example(path):
    shown = tocsin(*path.split(), "--help", env={"COLUMNS": "110"})
    assert shown.returncode == 0, shown.stderr
    assert "Example" in shown.stdout
    assert f"tocsin {path}".strip() in shown.stdout.split("Example", 1)[1]
    words = " ".join(shown.stdout.split())
    for parameter in EVERY[path].params:
        if parameter.name != "help":
            assert parameter.help, f"{path}: {parameter.name} has no help"
            assert " ".join(parameter.help.split())[:40] in words


def test_the_version_is_printed():
    shown = tocsin("--version")
    assert shown.returncode == 0
    assert shown.stdout.startswith("tocsin 0.")


def test_help_comes_at_once_as_it_loads_nothing_heavy():
    code = "import sys, tocsin.cli; print([m for m in sys.modules if m in %r])"
    heavy = {"numpy", "river", "faust", "kafka", "pyarrow", "pydantic", "rich.console"}
    shown = subprocess.run([sys.executable, "-c", code % heavy], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--nonsense"],
        ["nonsense"],
        ["tail"],
        ["tail", "alerts", "--count", "many"],
        ["tail", "alerts", "--envelope"],
        ["worker", "surplus"],
        ["check", "--config", "nowhere.yaml"],
        ["produce", "nonsense", "x.csv"],
        ["backtest", "telemetry"],
        ["backtest", "transactions", "x.csv", "-o", "y.csv", "--label-delay", "soon"],
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(arguments, tmp_path):
    shown = tocsin(*arguments, cwd=tmp_path)
    assert shown.returncode == 2, shown.stderr
    assert shown.stdout == ""
    assert len(shown.stderr.splitlines()) == 1
    assert shown.stderr.startswith("tocsin: ")


def test_no_command_shows_the_help_and_counts_as_wrong_usage():
    shown = tocsin()
    assert shown.returncode == 2
    assert "worker" in shown.stdout + shown.stderr


def test_a_broker_that_does_not_answer_is_one_line_and_exit_code_1(tmp_path):
    lines = ("tail alerts", "topics list", "topics create", "check --connect", "produce telemetry -")
    running = {
        line: subprocess.Popen(
            [sys.executable, "-m", "tocsin", *line.split()],
            cwd=tmp_path,
            env={"KAFKA_BOOTSTRAP": NOBODY},
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for line in lines
    }
    for line, process in running.items():
        _, stderr = process.communicate(timeout=60)
        assert process.returncode == 1, f"{line}: {stderr}"
        assert len(stderr.splitlines()) == 1, f"{line}: {stderr}"
        assert f"no Kafka broker answers at {NOBODY}" in stderr
        assert "KAFKA_BOOTSTRAP" in stderr


@pytest.mark.parametrize("arguments", [["--debug", "tail", "alerts"], ["tail", "alerts", "--debug"]])
def test_debug_shows_where_an_error_happened(arguments, tmp_path):
    shown = tocsin(*arguments, cwd=tmp_path, env={"KAFKA_BOOTSTRAP": NOBODY})
    assert shown.returncode == 1
    assert "Traceback" in shown.stderr
    assert "no Kafka broker answers" in shown.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["a1"], "Missing option '--true'"),
        (["a1", "--true", "--source", "pump-7"], "--source and --at belong together: say both"),
        (["a1", "--true", "--source", "pump-7", "--at", "noon"], "at: Input should be a valid datetime"),
        (["", "--false"], "id: String should have at least 1 character"),
    ],
)
def test_a_label_that_cannot_be_one_is_not_sent(arguments, said, tmp_path):
    shown = tocsin("label", *arguments, cwd=tmp_path)
    assert shown.returncode == 2
    assert said in shown.stderr


def test_a_wrong_configuration_stops_every_command_with_its_line(tmp_path):
    (tmp_path / "tocsin.yaml").write_text("kafka:\n  bootstrap_server: x\n")
    for command in (["worker"], ["tail", "alerts"], ["topics", "list"], ["check"]):
        shown = tocsin(*command, cwd=tmp_path)
        assert shown.returncode == 2
        assert shown.stderr == (
            "tocsin: tocsin.yaml:2:3: kafka.bootstrap_server: unknown key; did you mean `bootstrap_servers`?\n"
        )


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_completes_commands(shell):
    shown = tocsin(env={"_TOCSIN_COMPLETE": f"source_{shell}"})
    assert shown.returncode == 0
    assert f"_TOCSIN_COMPLETE=complete_{shell}" in shown.stdout


def test_the_shell_completes_topics():
    asked = {"_TOCSIN_COMPLETE": "complete_bash", "COMP_WORDS": "tocsin tail al", "COMP_CWORD": "2"}
    shown = tocsin(env=asked)
    assert shown.stdout.split() == ["alerts"]
