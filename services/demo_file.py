"""What the demo leaves in the data folder for those who come to it: ids, and a key in clear. No part of the product."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from services.private_files import write_private, writing_in
from shared.errors import ShopbellError

FILE: Final = "demo.json"


class DemoDamaged(ShopbellError):
    """The demo's file cannot be used."""


@dataclass(frozen=True)
class Demo:
    """What the demo's file holds: ids, and the key in clear, readable by its owner alone."""

    shop: str
    channel: str
    agent: str
    key: str


def read_demo(data_dir: Path) -> Demo | None:
    """None if there is no demo yet. Raises `DemoDamaged`."""
    path = data_dir.expanduser() / FILE
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        return Demo(**{name: str(told[name]) for name in Demo.__dataclass_fields__})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DemoDamaged(
            f"The demo's file {path} cannot be read ({type(error).__name__}); restore it, or remove it for a new demo "
            "shop beside the old one."
        ) from error


def write_demo(data_dir: Path, demo: Demo) -> None:
    """Raises `FolderProblem`."""
    with writing_in(data_dir):
        write_private(data_dir.expanduser() / FILE, json.dumps(asdict(demo), indent=2) + "\n")
