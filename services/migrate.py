"""`shopbell migrate`: the schema alone, before a new version is started anywhere."""

from gateway.schema import HEAD
from services.wiring import open_database
from shared.settings import Settings


async def migrate_database(settings: Settings) -> str:
    """Bring the database to this version's schema and say so."""
    async with open_database(settings):
        return f"The database is at schema {HEAD}."
