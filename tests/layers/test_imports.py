"""Imports run one way: services -> {gateway, connectors} -> shared. This test says who breaks it, where and why.

It reads the source, so an import inside a function or under TYPE_CHECKING counts like any other.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
CLIENT_FOLDER: Final = ("gateway", "client", "shopbell_client")
OURS: Final = frozenset({"shared", "connectors", "gateway", "services", "tests", "shopbell_client"})
MAY_IMPORT: Final = {
    "shared": {"shared"},
    "connectors": {"shared", "connectors"},
    "gateway": {"shared", "gateway"},
    "services": {"shared", "connectors", "gateway", "services", "shopbell_client"},
    "shopbell_client": {"shopbell_client"},
}
WHY: Final = {
    "shared": "shared imports nothing of ours",
    "connectors": "connectors import only shared",
    "gateway": "gateway imports only shared",
    "services": "services import everything but tests",
    "shopbell_client": "the client imports nothing of ours",
}


@dataclass(frozen=True)
class Import:
    """`module` imports `target`, both with dots; `line` counts from 1."""

    module: str
    target: str
    line: int


def module_of(path: Path) -> str:
    """The dotted name under which a file of ours is imported: the client lives in a folder of the gateway."""
    parts = path.with_suffix("").parts
    if parts[: len(CLIENT_FOLDER)] == CLIENT_FOLDER:
        parts = parts[2:]
    return ".".join(parts)


def imports_of(path: Path, source: str) -> Iterator[Import]:
    """Every import of a file, given by its path from the root; relative ones resolved."""
    module = module_of(path)
    package = module.split(".")[:-1]  # of `a.b.__init__` and of `a.b.c` alike it is a.b
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (Import(module, alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*above, *([node.module] if node.module else [])])
            yield from (Import(module, f"{origin}.{alias.name}", node.lineno) for alias in node.names)
        elif isinstance(node, ast.Call) and (name := dynamic_import(node)):
            yield Import(module, name, node.lineno)


def dynamic_import(node: ast.Call) -> str | None:
    """The module of `import_module("x")` and `__import__("x")`."""
    match node:
        case ast.Call(
            func=ast.Name(id="import_module" | "__import__") | ast.Attribute(attr="import_module"),
            args=[ast.Constant(value=str(name)), *_],
        ):
            return name
        case _:
            return None


def broken_rule(found: Import, channels: frozenset[str]) -> str | None:
    """The rule that an import breaks, None if it is allowed."""
    room, target = found.module.split(".")[0], found.target.split(".")[0]
    if target not in OURS:
        return None
    if target == "services" and room != "services":
        return "only services import services"
    if target not in MAY_IMPORT[room]:
        return WHY[room]
    if room == target == "connectors":
        return broken_connector_rule(found, channels)
    return None


def broken_connector_rule(found: Import, channels: frozenset[str]) -> str | None:
    channel, other = channel_of(found.module, channels), channel_of(found.target, channels)
    if channel is None:
        return "a module beside the channels imports none of them" if other else None
    if channel == other:
        return None
    return "no channel imports another" if other else "a channel imports only itself and shared"


def channel_of(name: str, channels: frozenset[str]) -> str | None:
    """The channel to which a name inside connectors belongs; None for what stands beside the channels."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in channels else None


def complaints_about(path: Path, source: str, channels: frozenset[str]) -> Iterator[str]:
    for found in imports_of(path, source):
        if rule := broken_rule(found, channels):
            yield f"{path}:{found.line}: {found.module} imports {found.target}: {rule}"


def sources() -> Iterator[Path]:
    """Every file of the product, from the root; of the client only the package itself."""
    for room in ("shared", "connectors", "gateway", "services"):
        for path in sorted((ROOT / room).rglob("*.py")):
            relative = path.relative_to(ROOT)
            if relative.parts[:2] != CLIENT_FOLDER[:2] or relative.parts[:3] == CLIENT_FOLDER:
                yield relative


def test_imports_run_one_way() -> None:
    channels = frozenset(path.name for path in (ROOT / "connectors").iterdir() if path.is_dir())
    complaints = [
        complaint
        for path in sources()
        for complaint in complaints_about(path, (ROOT / path).read_text(encoding="utf-8"), channels)
    ]
    assert not complaints, "\n" + "\n".join(complaints)


def test_every_room_is_read() -> None:
    assert {module_of(path).split(".")[0] for path in sources()} == set(MAY_IMPORT)


# The rule can fail

CHANNELS: Final = frozenset({"parrot", "budgie"})


def complain(path: str, source: str) -> list[str]:
    return list(complaints_about(Path(path), source, CHANNELS))


@pytest.mark.parametrize(
    ("path", "source", "rule"),
    [
        ("shared/bus.py", "import gateway", WHY["shared"]),
        ("shared/bus.py", "import connectors.parrot", WHY["shared"]),
        ("shared/bus.py", "from shopbell_client import Client", WHY["shared"]),
        ("shared/bus.py", "from tests.shared import strategies", WHY["shared"]),
        ("shared/bus.py", "from services import wiring", "only services import services"),
        ("gateway/app.py", "from connectors.parrot import ParrotConnector", WHY["gateway"]),
        ("gateway/app.py", "import shopbell_client", WHY["gateway"]),
        ("gateway/app.py", "import services.wiring", "only services import services"),
        ("gateway/routing/policy.py", "from tests.shared import strategies", WHY["gateway"]),
        ("connectors/parrot/inbound.py", "from gateway import tables", WHY["connectors"]),
        ("connectors/parrot/inbound.py", "import shopbell_client as client", WHY["connectors"]),
        ("connectors/parrot/inbound.py", "import services", "only services import services"),
        ("connectors/parrot/inbound.py", "import connectors.budgie.inbound", "no channel imports another"),
        ("connectors/parrot/inbound.py", "from connectors import budgie", "no channel imports another"),
        ("connectors/parrot/inbound.py", "from connectors.budgie import x", "no channel imports another"),
        ("connectors/parrot/inbound.py", "from ..budgie import x", "no channel imports another"),
        ("connectors/parrot/inbound.py", "from .. import budgie", "no channel imports another"),
        ("connectors/parrot/__init__.py", "from ..budgie.inbound import x", "no channel imports another"),
        ("connectors/parrot/deep/er.py", "from ...budgie import x", "no channel imports another"),
        (
            "connectors/parrot/inbound.py",
            "from connectors.host import Host",
            "a channel imports only itself and shared",
        ),
        ("connectors/parrot/inbound.py", "from .. import host", "a channel imports only itself and shared"),
        ("connectors/host.py", "from connectors.parrot import ParrotConnector", "beside the channels"),
        ("connectors/host.py", "from .parrot import ParrotConnector", "beside the channels"),
        ("connectors/__init__.py", "from .parrot import ParrotConnector", "beside the channels"),
        ("connectors/host.py", "from gateway.tables import x", WHY["connectors"]),
        ("gateway/client/shopbell_client/models.py", "from shared.content import Text", WHY["shopbell_client"]),
        ("gateway/client/shopbell_client/models.py", "from gateway import tables", WHY["shopbell_client"]),
        ("services/wiring.py", "from tests.contract import registry", WHY["services"]),
        ("gateway/app.py", "def late():\n    import connectors.parrot", WHY["gateway"]),
        ("gateway/app.py", "if TYPE_CHECKING:\n    from connectors import parrot", WHY["gateway"]),
        ("gateway/app.py", "try:\n    import json, connectors\nexcept ImportError: pass", WHY["gateway"]),
        ("gateway/app.py", "importlib.import_module('connectors.parrot')", WHY["gateway"]),
        ("gateway/app.py", "__import__('connectors')", WHY["gateway"]),
    ],
)
def test_a_forbidden_import_is_named_with_its_rule(path: str, source: str, rule: str) -> None:
    (said,) = complain(path, source)
    assert rule in said
    assert said.startswith(f"{path}:")


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("shared/bus.py", "import json, httpx\nfrom shared.model import Model\nfrom . import errors"),
        ("gateway/app.py", "from shared import bus\nfrom gateway.events import feed\nfrom .events import feed"),
        ("gateway/app.py", "import servicestack, gatewayish, sharedlib"),
        (
            "connectors/parrot/inbound.py",
            "from shared.events import Address\nfrom . import config\nfrom .config import x",
        ),
        ("connectors/parrot/inbound.py", "from connectors.parrot.config import ParrotConfig"),
        ("connectors/parrot/__init__.py", "from .connector import ParrotConnector\nfrom . import config"),
        ("connectors/host.py", "from shared.connector import Connector"),
        ("connectors/host.py", "from connectors.kinds import Kind"),
        (
            "services/wiring.py",
            "import gateway.app, connectors.parrot, shared.bus, shopbell_client\nfrom . import check",
        ),
        ("services/registry.py", "from connectors import parrot, budgie"),
        (
            "gateway/client/shopbell_client/models.py",
            "import httpx\nfrom .errors import x\nfrom shopbell_client import y",
        ),
        ("gateway/app.py", "text = 'import connectors'  # import connectors"),
    ],
)
def test_an_allowed_import_is_left_alone(path: str, source: str) -> None:
    assert complain(path, source) == []


def test_a_complaint_names_file_line_and_both_modules() -> None:
    assert complain("gateway/app.py", "import json\n\n\nfrom connectors.parrot import x\n") == [
        "gateway/app.py:4: gateway.app imports connectors.parrot.x: gateway imports only shared"
    ]


def test_every_forbidden_name_of_a_line_is_named() -> None:
    assert len(complain("connectors/parrot/inbound.py", "import gateway, connectors.budgie, json, services")) == 3
