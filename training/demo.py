"""What does `make run` show? The whole service on simulated shop traffic, then it goes on serving.

Invariant: whatever ends the demo (Ctrl-C, SIGTERM, a closed terminal, an error), the service that
it started is stopped with it, and the next run goes on where this one ended.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import shlex
import signal
import socket
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import NoReturn

from rich.console import Console

from service.bundle import BundleError, current_bundle
from service.cli.api_client import ApiClient
from service.launch import LaunchError, RunningService, running_service
from service.scorer import Scorer
from service.settings import Settings, load_settings
from training.command_train import catalog_of, show_training, train_bundle
from training.console import bar, messages, results
from training.demo_state import DemoState, demo_key, demo_people, next_traffic, state_after
from training.demo_tour import tour
from training.labelled import Labelled
from training.replay.figures import Figures
from training.replay.labels import LabelSender
from training.replay.run import Replay
from training.replay.tables import show
from training.simulator.stream import Traffic, simulate
from training.sources import SIMULATOR, today

_WATCH_SECONDS = 0.5
_TRAINING_SEED = 1


def run_demo(var: Path | None, *, port: int, events: int, wait: bool) -> bool:
    """Run the demo until Ctrl-C, or until the replay is done without `wait`.

    Returns False when the service ended by itself. Raises the errors of its parts.
    """
    settings = load_settings(var)
    settings = settings.model_copy(update={"var": settings.var.expanduser().resolve()})
    out, err = results(), messages()
    with _signals_leave():
        try:
            _check_port(settings.http.host, port)
            _ensure_model(settings, out, err)
            err.print("Starting Valkey, PostgreSQL and the API …")
            environment = {"TOUCHSTONE_CLOCK": "event"}
            with running_service(settings.var, port=port, environment=environment) as service:
                try:
                    return _show(settings, service, out, err, events=events, wait=wait)
                finally:
                    # A second Ctrl-C must not leave the service behind half stopped.
                    signal.signal(signal.SIGINT, signal.SIG_IGN)
                    err.print("Stopping …")
        except KeyboardInterrupt:
            return True
        except LaunchError as error:
            # What the child said begins with the word that the command line puts there again.
            raise LaunchError(str(error).removeprefix("error: ")) from None


def _show(
    settings: Settings,
    service: RunningService,
    out: Console,
    err: Console,
    *,
    events: int,
    wait: bool,
) -> bool:
    key = demo_key(settings)
    documentation = f"{service.url}/openapi.json"
    out.print(f"\nTouchstone answers at [bold]{service.url}[/] (documentation: {documentation})")
    out.print(f"Demo API key: [bold]{key}[/]\n")
    last = DemoState.load(settings.var)
    traffic = next_traffic(last, events, datetime.now(UTC))
    labels = LabelSender(ApiClient(settings, service.url, key))
    _replay(settings, Replay(service.url, key), last, traffic, out, err, labels)
    text = _next_step(service.url, key, settings.var)
    text += tour(demo_people(settings), settings.var)
    out.print(text, soft_wrap=True, highlight=False, markup=False)
    if not wait:
        return True
    out.print("Serving until Ctrl-C.")
    while service.process.poll() is None:
        time.sleep(_WATCH_SECONDS)
    raise LaunchError(f"the service ended; its log is {settings.var / 'run' / 'service.log'}")


def _check_port(host: str, port: int) -> None:
    """Say that a port is taken before a model is trained for nothing."""
    if not port:
        return
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=1):
        raise LaunchError(
            f"something answers on {host} port {port}, perhaps a demo that still runs; "
            'another port: make run ARGS="--port 8001"'
        )


def _ensure_model(settings: Settings, out: Console, err: Console) -> None:
    """Train the first model, or a fresh one when the catalog has changed since."""
    try:
        current = current_bundle(settings.var)
        if current is not None:
            Scorer.load(current, catalog_of(settings))
            return
        err.print("There is no model yet: training the first one on simulated traffic.")
    except BundleError as error:
        err.print(f"The model does not fit ({error}).", markup=False)
    trained, directory = train_bundle(
        settings, err, source=SIMULATOR, events=None, seed=_TRAINING_SEED, until=today()
    )
    show_training(out, trained, directory)


def _replay(
    settings: Settings,
    replay: Replay,
    last: DemoState | None,
    traffic: Traffic,
    out: Console,
    err: Console,
    labels: LabelSender,
) -> None:
    figures = Figures("simulated shop traffic")
    reached: list[str] = []

    def noted() -> Iterator[Labelled]:
        for item in simulate(traffic):
            reached[:] = [item.event["occurred_at"]]
            yield item

    span = f"{traffic.since:%Y-%m-%d %H:%M} to {traffic.until:%Y-%m-%d %H:%M} UTC"
    try:
        with bar(err, f"Replaying {span}", traffic.events) as done:
            replay.run(noted(), figures, done, labels)
    finally:
        state_after(last, traffic, reached[0] if reached else None).save(settings.var)
        if figures.events:
            show(out, figures)


def _next_step(url: str, key: str, var: Path) -> str:
    event = {
        "event_id": f"try-{secrets.token_hex(4)}",
        "type": "checkout",
        "occurred_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "user": {"id": "u-9", "email": "li@example.com"},
        "device": {"id": "d-77"},
        "network": {"ip": "203.0.113.9"},
        "order": {"id": "o-1", "amount_minor": 12050, "currency": "CNY"},
    }
    kept = shlex.quote(str(var))
    return (
        "\nAsk it yourself, in another terminal:\n\n"
        f"cd {shlex.quote(str(Path.cwd()))}\n"
        f"curl -s {url}/v1/score -H 'Authorization: Bearer {key}' "
        f"-H 'Content-Type: application/json' -d '{json.dumps(event)}'\n"
        "\nWhat is known of that user, and what there is to know:\n\n"
        f"{Path(sys.argv[0])} features show --entity user=u-9 --var {kept}\n"
        f"{Path(sys.argv[0])} features docs --var {kept}\n"
    )


@contextlib.contextmanager
def _signals_leave() -> Iterator[None]:
    """Let SIGTERM and a closed terminal leave through every `with`, as Ctrl-C does."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    interrupt = signal.getsignal(signal.SIGINT)
    for number in kept:
        signal.signal(number, _leave)
    # A shell that starts this in the background has SIGINT ignored; then it stays ignored.
    try:
        yield
    finally:
        for number, handler in {**kept, signal.SIGINT: interrupt}.items():
            signal.signal(number, handler)


def _leave(number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)
