"""Programs that tests run as Debian packages them."""

from __future__ import annotations

import os
import shutil

import pytest

PACKAGES = {
    "prometheus": "prometheus",
    "promtool": "prometheus",
    "alertmanager": "prometheus-alertmanager",
    "amtool": "prometheus-alertmanager",
    "docker-compose": "docker-compose",
    "kcat": "kcat",
    "javac": "openjdk-17-jdk-headless",
}


def program(name: str) -> str:
    """Return where a program is; without it, a test is skipped here and fails in CI."""
    found = shutil.which(name) or shutil.which(f"prometheus-{name}")
    if found is None:
        message = f"{name} is not installed: apt-get install {PACKAGES[name]}"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return found
