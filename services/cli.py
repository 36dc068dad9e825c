"""The command line: `shopbell`, and what to say when something stands in the way.

Everything heavy is imported by the command that needs it: help comes at once, and so does an error.
"""

import asyncio
import contextlib
import gc
import os
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from services.standalone import Product
    from shared.settings import Settings

app = typer.Typer(
    help="Shopbell: every messenger of your customers in one place.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
keys = typer.Typer(help="List, create and revoke a shop's keys, on the database itself.", no_args_is_help=True)
app.add_typer(keys, name="keys")

Port = Annotated[int | None, typer.Option(help="Port of the product; 8080 unless set otherwise.", min=0, max=65535)]
DataDir = Annotated[
    Path | None, typer.Option(help="Folder of the embedded database and its key; .shopbell unless set otherwise.")
]
ShopName = Annotated[
    str | None, typer.Option("--shop", help="Id or name of the shop; may be left out where there is only one.")
]


def fail(sentence: str) -> NoReturn:
    typer.echo(f"shopbell: {sentence}", err=True)
    raise SystemExit(1)


def load_settings(**given: object) -> "Settings":
    """The settings, with what the command line says on top; every mistake at once, without a traceback."""
    from services.settings import Mistakes, read_settings

    try:
        return read_settings(**given)
    except Mistakes as error:
        fail(error.detail)


@app.callback()
def shopbell() -> None:
    """Every messenger of your customers in one place."""


@app.command()
def up(
    port: Port = None,
    data_dir: DataDir = None,
    demo: Annotated[bool, typer.Option("--demo", help="Add a demo shop with a site chat, an agent and a key.")] = False,
) -> None:
    """Run the whole product in this process until Ctrl-C."""
    gc.disable()  # until `launch` has loaded everything: looking for garbage costs a sixth of the start
    settings = load_settings(port=port, data_dir=data_dir)
    from services.launch import launch
    from shared.logs import configure_logs

    configure_logs(level=settings.log_level, style=settings.log_format)

    def ready(product: "Product", url: str) -> None:
        typer.echo(welcome(product, url, settings))

    run(launch(settings, demo=demo, ready=ready))


def welcome(product: "Product", url: str, settings: "Settings") -> str:
    if product.demo is None:
        return f"\n  Shopbell is ready at {url}\n\n  API pages   {url}/docs\n\n  Ctrl-C stops everything.\n"
    agent = agent_command(product, settings)
    return (
        "\n  Shopbell is ready. Nothing is mocked: try it from both sides.\n\n"
        f"  The shop      {url}/demo\n"
        f"                write in the chat, no name needed\n"
        f"  The agent     {agent}\n"
        f"                in another terminal: answer, and see the ticks\n"
        f"  The API       {url}/docs\n"
        f"  A ready key   {product.demo.key}\n"
        "\n  Ctrl-C stops everything, database included.\n"
    )


def agent_command(product: "Product", settings: "Settings") -> str:
    """How to start the agent beside this product: by `make` if we were, else as we were."""
    port = product.gateway.core.settings.port
    folder = [] if settings.data_dir == type(settings).model_fields["data_dir"].default else [str(settings.data_dir)]
    if "MAKELEVEL" in os.environ:
        args = f' ARGS="--data-dir {shlex.quote(folder[0])}"' if folder else ""
        return "make agent" + ("" if port == 8080 else f" PORT={port}") + args
    there = [*([] if port == 8080 else ["--port", str(port)]), *(["--data-dir", *folder] if folder else [])]
    return shlex.join([sys.argv[0], "agent", *there])


@app.command()
def agent(
    url: Annotated[str | None, typer.Option(help="Address of the product, where it runs elsewhere.")] = None,
    token: Annotated[str | None, typer.Option(help="Agent token; without it, one for the demo's agent.")] = None,
    port: Port = None,
    data_dir: DataDir = None,
    plain: Annotated[bool, typer.Option("--plain", help="Lines instead of a screen.")] = False,
) -> None:
    """Answer customers in this terminal."""
    settings = load_settings(port=port, data_dir=data_dir, agent_url=url, agent_token=token)
    from services.agent import work

    run(work(settings, plain=plain))


@app.command()
def migrate(data_dir: DataDir = None) -> None:
    """Bring the database to the schema of this version; `up` does it by itself."""
    settings = load_settings(data_dir=data_dir)
    from services.migrate import migrate_database

    typer.echo(run(migrate_database(settings)))


@app.command()
def check(data_dir: DataDir = None) -> None:
    """Show the settings as they apply, and whether everything they name answers. Exit code 1 if something does not."""
    from services.checkup import check_up
    from services.settings import Mistakes, read_settings

    try:
        settings = read_settings(data_dir=data_dir)
    except Mistakes as error:
        fail(error.detail)
    found = run(check_up(settings))
    typer.echo(found.text)
    raise SystemExit(0 if found.well else 1)


@app.command()
def openapi() -> None:
    """Print the description of the API as JSON."""
    from services.openapi import openapi_json

    typer.echo(openapi_json())


@app.command()
def parse(
    channel_type: Annotated[str, typer.Argument(metavar="TYPE", help="A channel type: email, telegram, whatsapp.")],
    files: Annotated[list[Path] | None, typer.Argument(help="Payloads; standard input without any.")] = None,
) -> None:
    """Show as JSON lines how a provider's payload is understood. Exit code 2 if one is malformed."""
    from services.parse import print_parsed
    from shared.errors import ShopbellError

    try:
        well = print_parsed(channel_type, files or [], sys.stdout)
    except ShopbellError as error:
        fail(error.detail)
    raise SystemExit(0 if well else 2)


@keys.command("list")
def list_keys(shop: ShopName = None, data_dir: DataDir = None) -> None:
    """The shops and their keys. Secrets are stored nowhere, so none is shown."""
    settings = load_settings(data_dir=data_dir)
    from services import keys as shop_keys

    typer.echo(run(shop_keys.list_all(settings, shop)))


@keys.command("create")
def create_key(
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    scope: Annotated[list[str] | None, typer.Option(help="read, write, admin; may be given again.")] = None,
    test: Annotated[bool, typer.Option("--test", help="A key of the test mode.")] = False,
    shop: ShopName = None,
    data_dir: DataDir = None,
) -> None:
    """Make a key and print it, once."""
    settings = load_settings(data_dir=data_dir)
    from services import keys as shop_keys

    typer.echo(run(shop_keys.create(settings, shop, name=name, scopes=tuple(scope or ["write"]), test=test)))


@keys.command("revoke")
def revoke_key(
    key: Annotated[str, typer.Argument(help="Id of the key, as `list` shows it.")], data_dir: DataDir = None
) -> None:
    """End a key, at once."""
    settings = load_settings(data_dir=data_dir)
    from services import keys as shop_keys

    typer.echo(run(shop_keys.revoke(settings, key)))


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run to the end; what stands in the way is one sentence and exit code 1."""
    from shared.errors import ShopbellError

    run_to_the_end: Callable[[Coroutine[Any, Any, Any]], Any] = asyncio.run
    with contextlib.suppress(ImportError):  # not on this platform
        import uvloop

        run_to_the_end = uvloop.run
    signal.signal(signal.SIGINT, signal.default_int_handler)  # from here on there is something to close
    try:
        return run_to_the_end(coroutine)
    except ShopbellError as error:
        fail(error.detail)
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def main() -> None:
    code: int | str | None = 0
    try:
        app()
    except SystemExit as ended:
        code = ended.code
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not break the leaving
    leave(code)


def leave(code: int | str | None) -> NoReturn:
    """End the process. What had to be closed is closed; a thread that still loads modules is not waited for."""
    if threading.active_count() == 1:
        raise SystemExit(code)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))
