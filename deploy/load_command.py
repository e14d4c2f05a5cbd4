"""`antiphon load`: its arguments and options."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from deploy.process_command import bound_command, module_command, with_import_path
from shared.errors import ConfigError

_JOIN = "join"


def load(
    scenario: Annotated[
        str, typer.Argument(help="steady, ramp, burst, soak, conversation; or join, to help a leader.")
    ],
    what: Annotated[
        str | None, typer.Argument(metavar="[FILE|LEADER]", help="A conversation's file, or HOST:PORT of the leader.")
    ] = None,
    url: Annotated[
        str, typer.Option(help="The server: https://host, or its wss:// address.")
    ] = "http://127.0.0.1:8080",
    agent: Annotated[str, typer.Option(help="The agent to call. The echo agent lets callers measure delays.")] = "echo",
    callers: Annotated[int, typer.Option(help="Callers at the same time; of a ramp, its first level.", min=1)] = 10,
    duration: Annotated[str, typer.Option(help="How long each level is measured: 30s, 5m.")] = "30s",
    processes: Annotated[
        int | None,
        typer.Option(help="Processes of callers on this host.", show_default="half the cores", min=0, max=256),
    ] = None,
    arrivals: Annotated[float | None, typer.Option(help="Callers who arrive in a second.", min=0.01)] = None,
    call_time: Annotated[
        str | None, typer.Option(help="Replace each caller after this time: 3m, which is usual for a soak.")
    ] = None,
    factor: Annotated[float, typer.Option(help="Of a ramp: how much more from level to level.", min=1.01)] = 1.5,
    most: Annotated[int, typer.Option(help="Of a ramp: its last level at most.", min=1)] = 1_000,
    loss: Annotated[str, typer.Option(help="Lose this share of packets each way, in bursts: 5%.")] = "0",
    jitter: Annotated[str, typer.Option(help="Delay each packet by a random part of this: 30ms.")] = "0",
    delay: Annotated[str, typer.Option(help="Delay each packet by this, each way: 50ms.")] = "0",
    token: Annotated[str, typer.Option(help="A session token, for one caller.", envvar="ANTIPHON_LOAD_TOKEN")] = "",
    token_file: Annotated[Path | None, typer.Option(help="Session tokens, one a line.")] = None,
    api_key_file: Annotated[
        Path | None, typer.Option(help="API key that gets a session token for each caller.")
    ] = None,
    listen: Annotated[str, typer.Option(help="Where helpers of other hosts join: 0.0.0.0:7000.")] = "127.0.0.1:0",
    hosts: Annotated[int, typer.Option(help="Hosts in all; the run begins when all have joined.", min=1)] = 1,
    key_file: Annotated[
        Path | None, typer.Option("--key", help="A file with the key that leader and helpers share.")
    ] = None,
    metrics: Annotated[
        list[str] | None, typer.Option(help="Prometheus endpoints of the server's processes, or a file with targets.")
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Write the report to this file.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write the report as a web page to this file.")] = None,
    gate: Annotated[Path | None, typer.Option(help="Bounds (YAML); exit code 1 if the report exceeds one.")] = None,
) -> None:
    """Call a server with many callers at once, and report what they notice. See docs/load.md.

    Exit codes: 0, 1 if nobody could connect or a bound was exceeded, 2 if an option is invalid.
    """
    from callers.load import command, options  # imports numpy and aiortc, which other commands do not need
    from callers.load.messages import Impaired
    from callers.server import read_api_key

    try:
        key = os.environ.get("ANTIPHON_LOAD_KEY", "") if key_file is None else options.read_text(key_file, "a key")
        if scenario == _JOIN:
            raise typer.Exit(command.join(what or "", key))
        tokens = options.read_text(token_file, "session tokens").split() if token_file is not None else []
        wanted = options.Options(
            scenario=scenario,
            url=url,
            agent=agent,
            callers=callers,
            duration_s=options.seconds(duration),
            arrivals_per_s=arrivals,
            call_s=None if call_time is None else options.seconds(call_time),
            factor=factor,
            most=most,
            scripts=options.scripts(scenario, None if what is None else Path(what)),
            processes=max(1, _cores() // 2) if processes is None else processes,
            api_key="" if api_key_file is None else read_api_key(api_key_file),
            tokens=[token, *tokens] if token else tokens,
            impaired=Impaired(
                loss=options.share(loss),
                jitter_ms=1000 * options.seconds(jitter),
                delay_ms=1000 * options.seconds(delay),
            ),
            listen=options.address(listen),
            hosts=hosts,
            key=key,
            metrics=options.targets(metrics or []),
            json=json,
            html=html,
            gate=gate,
        )
    except ConfigError as error:
        print(f"antiphon: {error.message}", file=sys.stderr)
        raise typer.Exit(command.EXIT_USAGE) from error
    helper = [*bound_command([*module_command("deploy.launch"), "load", _JOIN])]
    raise typer.Exit(command.load(wanted, command.HelperCommand(helper, with_import_path(os.environ))))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
