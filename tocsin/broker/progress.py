"""Shows how the first fetch of Kafka goes."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

DownloadProgress = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""Called with a file's name and size; gives a function to tell of each chunk's size."""


@contextlib.contextmanager
def download_progress(text: str, megabytes: int) -> Iterator[DownloadProgress]:
    """Show a bar on stderr, or one line where that is no terminal.

    Parameters
    ----------
    text
        What goes on.
    megabytes
        About how much there is to download in all.

    """
    from rich.console import Console  # noqa: PLC0415  needed at the first start only
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    console = Console(file=sys.stderr)
    if not console.is_terminal:
        print(f"{text} ({megabytes} MB, once)", file=sys.stderr)
    columns = (TextColumn(text), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("fetch", total=megabytes * 1e6)

        @contextlib.contextmanager
        def one_file(name: str, size: int) -> Iterator[Callable[[int], None]]:
            yield lambda received: bar.advance(task, received)

        yield one_file
