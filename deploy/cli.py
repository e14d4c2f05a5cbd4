"""The `antiphon` command."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from deploy import doctor
from deploy.console import Console
from deploy.embedded_stack import embedded_stack
from deploy.load_command import load
from deploy.one_machine import OneMachine, Plan, workers_for
from deploy.process_command import ProcessFailed, module_command, with_import_path
from gateway.core.api_keys import Scope, new_api_key
from shared.errors import AntiphonError
from shared.io.processor import usable_cores
from shared.io.service import exit_code_for
from shared.settings import Settings

_PASS_ON = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}

app = typer.Typer(
    name="antiphon",
    help="A voice-agent server that you run yourself: people talk to an AI agent in the browser.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def up(
    host: Annotated[str, typer.Option(help="Address to serve the page on; 0.0.0.0 for all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to serve the page on.", min=1, max=65535)] = 8080,
    media_workers: Annotated[
        int | None, typer.Option(help="Number of media workers.", show_default="a third of the cores", min=1, max=256)
    ] = None,
    pipeline_workers: Annotated[
        int | None,
        typer.Option(help="Number of pipeline workers.", show_default="a third of the cores", min=1, max=256),
    ] = None,
    everybody: Annotated[
        bool, typer.Option("--open", help="Let everybody call who can reach the host, without a token.")
    ] = False,
) -> None:
    """Run everything on this machine until Ctrl-C.

    The services read their settings from the environment: see `antiphon gateway --help`, `antiphon media-worker --help`
    and `antiphon pipeline-worker --help`. A broker is started too, unless ANTIPHON_REDIS_URL names one.
    """
    cores, console = usable_cores(), Console()
    plan = Plan(host, port, media_workers or workers_for(cores), pipeline_workers or workers_for(cores))
    environment = dict(os.environ) | ({"ANTIPHON_GATEWAY_ACCESS": "open"} if everybody else {})
    try:
        Settings.load()
        console.say(f"On {cores:g} core{'s' if cores != 1 else ''}: {plan}")
        exit_code = asyncio.run(OneMachine(plan, environment, console).run())
    except AntiphonError as error:
        print(f"antiphon: {error.message}", file=sys.stderr)
        exit_code = exit_code_for(error)
    raise typer.Exit(exit_code)


@app.command(name="doctor")
def examine() -> None:
    """Check what works on this machine, and say how to fix what does not."""
    raise typer.Exit(asyncio.run(doctor.examine(os.environ, print)))


@app.command(name="eval")
def evaluate(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Scenario files (YAML).")],
    url: Annotated[
        str | None, typer.Option(help="A running server, such as http://host:8080. Without it, one is started.")
    ] = None,
    api_key: Annotated[
        str, typer.Option(envvar="ANTIPHON_EVAL_API_KEY", help="API key of that server, if it requires tokens.")
    ] = "",
    api_key_file: Annotated[
        Path | None, typer.Option(envvar="ANTIPHON_EVAL_API_KEY_FILE", help="A file with this key.")
    ] = None,
    at_once: Annotated[int, typer.Option(help="Number of calls at the same time.", min=1, max=64)] = 4,
    json: Annotated[Path | None, typer.Option(help="Write results, times and timelines to this file.")] = None,
    junit: Annotated[Path | None, typer.Option(help="Write a JUnit report to this file, for CI servers.")] = None,
    log: Annotated[Path | None, typer.Option(help="Write the log of the started server to this file.")] = None,
) -> None:
    """Call agents as described in scenario files, and check what they do.

    A scripted caller speaks, types, pauses, interrupts and makes noise in real calls. Transcripts, events, tool calls
    and response times are compared with what the scenario expects. See docs/evaluation.md.

    Exit codes: 0 all scenarios passed, 1 a scenario failed, 2 a file is invalid.
    """
    from callers.scenario import command  # imports numpy and aiortc, which other commands do not need

    try:
        target = None if url is None else command.Target(url, api_key, api_key_file)
        exit_code = command.evaluate(files, target, at_once, command.Files(json, junit, log), embedded_stack)
    except ProcessFailed as error:
        print(f"antiphon: {error.message}", file=sys.stderr)
        exit_code = error.exit_code
    raise typer.Exit(exit_code)


app.command()(load)


@app.command()
def api_key(
    name: Annotated[str, typer.Argument(help="Who will use it, such as website.")],
    scope: Annotated[Scope, typer.Option(help="What it allows.")] = "calls",
) -> None:
    """Make an API key: shows the key, and prints its line for ANTIPHON_GATEWAY_API_KEYS_FILE.

    The line goes to the standard output, so that `>>` can append it to the file. The key itself is kept nowhere.
    """
    key, line = new_api_key(name, scope)
    print(key, file=sys.stderr)
    print(line)


@app.command(context_settings=_PASS_ON)
def gateway(context: typer.Context) -> None:
    """Run one gateway: the page, signaling, placement."""
    _become("gateway", context.args)


@app.command(context_settings=_PASS_ON)
def media_worker(context: typer.Context) -> None:
    """Run one media worker: WebRTC connections."""
    _become("media_worker", context.args)


@app.command(context_settings=_PASS_ON)
def pipeline_worker(context: typer.Context) -> None:
    """Run one pipeline worker: speech recognition, dialogue, speech synthesis."""
    _become("pipeline_worker", context.args)


def _become(module: str, arguments: list[str]) -> NoReturn:
    command = [*module_command(module), *arguments]
    os.execve(command[0], command, with_import_path(os.environ))
