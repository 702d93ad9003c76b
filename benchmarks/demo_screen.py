"""Runs the demo and saves its screen as an SVG, for the README.

python benchmarks/demo_screen.py docs/images/demo.svg
"""

from __future__ import annotations

import io
import sys
from functools import partial
from pathlib import Path

from rich.console import Console

from tocsin.config import Configuration
from tocsin.demo.run import run_demo
from tocsin.demo.summary import show

WIDTH = 112


def main(path: Path, duration: float = 60.0) -> None:
    """Run the demo for ``duration`` seconds and save what is on the screen at its end."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), highlight=False)
    run_demo(Configuration(), duration, console, partial(show, console))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(console.export_svg(title="tocsin demo"))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(float, sys.argv[2:]))
