"""`shopbell agent`: where the product is and which token serves there."""

from shopbell_client import Client
from shopbell_client import ShopbellError as ClientError

from services.demo_file import Demo, read_demo
from services.launch import local_url
from services.terminal import run
from shared.errors import ShopbellError
from shared.settings import Settings


class NoDemo(ShopbellError):
    """There is no demo to be the agent of."""


async def work(settings: Settings, *, plain: bool) -> None:
    """Be the agent until they leave. Raises `NoDemo` if no token is given and the demo has none to give."""
    base_url = settings.agent_url or local_url(settings.host, settings.port)
    given = settings.agent_token.get_secret_value() if settings.agent_token else None
    await run(base_url=base_url, token=given or await demo_token(base_url, settings), plain=plain)


async def demo_token(base_url: str, settings: Settings) -> str:
    """A token for the demo's agent, by the demo's key."""
    demo: Demo | None = read_demo(settings.data_dir)
    if demo is None:
        raise NoDemo(
            f"There is no demo in {settings.data_dir.expanduser().absolute()}; start it with `make run`, "
            "name its folder with --data-dir, or give --url and --token."
        )
    try:
        async with Client(base_url, demo.key) as client:
            issued = await client.agents.token(demo.agent)
    except (ClientError, OSError) as error:
        raise NoDemo(
            f"{base_url} does not answer as the demo in {settings.data_dir} would ({error}); "
            "is `make run` at work there?"
        ) from error
    return str(issued.token)
