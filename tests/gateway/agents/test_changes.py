"""Changes to an agent."""

from tests.support.product import Shop


async def test_only_what_is_named_is_changed_and_null_clears(shop: Shop) -> None:
    agent = await shop.client.agents.create(name="Ana", email="ana@shop.example")
    renamed = await shop.client.agents.update(agent.id, name="Anna")
    assert (renamed.name, renamed.email) == ("Anna", "ana@shop.example")
    cleared = await shop.client.agents.update(agent.id, email=None)
    assert (cleared.name, cleared.email) == ("Anna", None)
