"""The command line: `shopbell`, and what to say when something stands in the way."""

import asyncio
import json
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from pydantic import ValidationError

from shared.errors import ShopbellError
from shared.logs import configure_logs
from shared.settings import Settings

app = typer.Typer(
    help="Shopbell: every messenger of your customers in one place.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Port = Annotated[int | None, typer.Option(help="Port of the product.", min=0, max=65535)]
DataDir = Annotated[Path | None, typer.Option(help="Folder of the embedded database and its key.")]


def fail(sentence: str) -> NoReturn:
    typer.echo(f"shopbell: {sentence}", err=True)
    raise SystemExit(1)


def load_settings(**given: object) -> Settings:
    """The settings, with what the command line says on top; every mistake at once, without a traceback."""
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        lines = [f"  {'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_input=False)]
        fail("these settings do not fit:\n" + "\n".join(lines))
    except ValueError as error:
        fail(f"the settings cannot be read: {error}")


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
    settings = load_settings(port=port, data_dir=data_dir)
    configure_logs(level=settings.log_level, style=settings.log_format)
    from services.standalone import Product, serve  # the server's parts are loaded only where they run

    def ready(product: Product, url: str) -> None:
        typer.echo(welcome(product, url, settings))

    run(serve(settings, demo=demo, ready=ready))


def run(coroutine: Any) -> None:
    """Run to the end; what stands in the way is one sentence and exit code 1."""
    try:
        try:
            import uvloop

            uvloop.run(coroutine)
        except ImportError:
            asyncio.run(coroutine)
    except ShopbellError as error:
        fail(error.detail)


def welcome(product: Any, url: str, settings: Settings) -> str:
    if product.demo is None:
        return f"\n  Shopbell is ready at {url}\n\n  API pages   {url}/docs\n\n  Ctrl-C stops everything.\n"
    agent = "make agent" if settings.port == 8080 else f"make agent PORT={settings.port}"
    return (
        f"\n  Shopbell is ready. Nothing is mocked: try it from both sides.\n\n"
        f"  The shop       {url}/demo      write in the chat, no name needed\n"
        f"  The agent      {agent:<{len(url) + 5}}      in another terminal: answer, see the ticks\n"
        f"  The API        {url}/docs\n"
        f"  A ready key    {product.demo.key}\n\n"
        f"  Ctrl-C stops everything, database included.\n"
    )


@app.command()
def agent(
    url: Annotated[str | None, typer.Option(help="Address of the product.", envvar="SHOPBELL_URL")] = None,
    token: Annotated[
        str | None, typer.Option(help="Agent token. Default: one for the demo agent.", envvar="SHOPBELL_AGENT_TOKEN")
    ] = None,
    port: Port = None,
    data_dir: DataDir = None,
    plain: Annotated[bool, typer.Option("--plain", help="Lines instead of a screen.")] = False,
) -> None:
    """Answer customers in this terminal."""
    settings = load_settings(port=port, data_dir=data_dir)
    base_url = url or f"http://{settings.host}:{settings.port}"
    from services.terminal import run as run_terminal

    async def work() -> None:
        await run_terminal(base_url=base_url, token=token or await demo_token(base_url, settings), plain=plain)

    asyncio.run(work())


async def demo_token(base_url: str, settings: Settings) -> str:
    """A token for the demo's agent, by the demo's key."""
    from shopbell_client import Client
    from shopbell_client import ShopbellError as ClientError

    path = settings.data_dir.expanduser() / "demo.json"
    try:
        demo = json.loads(path.read_text())
    except OSError:
        fail(f"there is no demo in {path.parent}; start it with `make run`, or give --url and --token.")
    try:
        async with Client(base_url, demo["key"]) as client:
            issued = await client.agents.token(demo["agent"])
    except (ClientError, OSError) as error:
        fail(f"{base_url} does not answer as the demo would ({error}); is `make run` at work there?")
    return str(issued.token)


def main() -> None:
    app()


if __name__ == "__main__":
    main()
