"""Start the product and end it: port, folder and database first, while the product's own parts are being loaded."""

import asyncio
import contextlib
import gc
import importlib
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from pydantic import SecretStr

from services.embedded_postgres import data_folder, embedded_postgres, ensure_database
from shared.errors import ShopbellError
from shared.settings import Settings

if TYPE_CHECKING:
    from services.standalone import Product

BACKLOG: Final = 2048
EVERYWHERE: Final = ("0.0.0.0", "::")  # noqa: S104 - not what we bind to: what we show as an address


class PortTaken(ShopbellError):
    """Another program listens on this port."""


async def launch(settings: Settings, *, demo: bool, ready: Callable[["Product", str], Any]) -> None:
    """Run until SIGINT or SIGTERM, then end everything. Raises `ShopbellError` for what stands in the way."""
    stop = stop_signal()
    with contextlib.closing(listen_on(settings)) as listener:
        port = listener.getsockname()[1]
        url = settings.public_url or local_url(settings.host, port)
        async with contextlib.AsyncExitStack() as stack:
            with without_collecting():
                opening = asyncio.create_task(open_all(stack, settings.model_copy(update={"port": port}), demo=demo))
                if not await done_before(stop, opening):
                    return
            product, standalone = opening.result()
            await standalone.serve_until(stop, product, listener, lambda: ready(product, url))


async def open_all(stack: contextlib.AsyncExitStack, settings: Settings, *, demo: bool) -> "tuple[Product, ModuleType]":
    """The running product; its modules are loaded while the database starts."""
    folder_held = stack.enter_context(data_folder(settings.data_dir)) if settings.database_url is None else None
    loading = load("services.standalone")
    if folder_held is not None:
        url = await stack.enter_async_context(embedded_postgres(folder_held, bin_dir=settings.postgres_bin))
        await ensure_database(url, folder=folder_held)
        settings = settings.model_copy(update={"database_url": SecretStr(url)})
    standalone = await loading
    alone = folder_held is not None  # the folder's lock says so
    return await stack.enter_async_context(standalone.open_product(settings, demo=demo, alone=alone)), standalone


def load(name: str) -> "asyncio.Future[ModuleType]":
    """The module, loaded by a thread of its own. One of the loop's would be waited for by an end that comes early."""
    loop = asyncio.get_running_loop()
    loaded: asyncio.Future[ModuleType] = loop.create_future()

    def settle(module: ModuleType | None, error: BaseException | None) -> None:
        if loaded.done():  # nobody waits any more
            return
        if error is not None:
            loaded.set_exception(error)
        elif module is not None:
            loaded.set_result(module)

    def work() -> None:
        module, error = None, None
        try:
            module = importlib.import_module(name)
        except BaseException as problem:
            error = problem
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(settle, module, error)

    threading.Thread(target=work, name=f"load {name}", daemon=True).start()
    return loaded


@contextlib.contextmanager
def without_collecting() -> Iterator[None]:
    """Modules make no garbage, and looking for it while they load is a sixth of the time; afterwards it need not look
    among them again."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


async def done_before(stop: asyncio.Event, task: "asyncio.Task[Any]") -> bool:
    """Wait for whichever comes first; a task that the stop overtook is cancelled and has ended."""
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({stopping, task}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if task.done():
        return True
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return False


def stop_signal() -> asyncio.Event:
    """Set by the first SIGINT or SIGTERM; further ones change nothing."""
    stop = asyncio.Event()
    for sign in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(sign, stop.set)
    return stop


def listen_on(settings: Settings) -> socket.socket:
    """The listening socket; raises `PortTaken`. Bound before anything slow, so that a clash is told at once."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # named: asyncio turns Nagle off
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise PortTaken(
            f"Port {settings.port} on {settings.host} cannot be used ({error.strerror}); "
            "stop the program that has it or choose another one, for example: make run PORT=8081."
        ) from error
    listener.setblocking(False)
    return listener


def local_url(host: str, port: int) -> str:
    """An address that a browser on this machine can open."""
    shown = "localhost" if host in EVERYWHERE else f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}"
