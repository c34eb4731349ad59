"""How do the commands of training show that they are at work?

Progress goes to standard error, results to standard output; neither uses colours or moving bars
where nobody looks at a terminal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)

# Rich takes 80 columns where there is no terminal; the widest table needs more.
_PIPED_WIDTH = 130


def results() -> Console:
    """Return the console of results."""
    console = Console()
    return console if console.is_terminal else Console(width=_PIPED_WIDTH)


def messages() -> Console:
    """Return the console of progress and remarks."""
    return Console(stderr=True)


@contextmanager
def bar(console: Console, text: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Show a progress bar; yield a function that takes the number of things done so far."""
    if not console.is_terminal:
        console.print(f"{text} …")
        yield lambda _done: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(text, total=total)
        last = 0

        def done(count: int) -> None:
            nonlocal last
            last = count
            progress.update(task, completed=count)

        yield done
        progress.update(task, total=last, completed=last)
