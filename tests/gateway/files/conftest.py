"""Someone on a channel with files."""

import pytest

from tests.support.customer import Customer, fresh
from tests.support.product import Running, Shop
from tests.support.wordy import Wordings, wordings


@pytest.fixture
async def customer(scripted: Running, scripted_shop: Shop) -> Customer:
    number = fresh("number")
    channel = await scripted_shop.client.channels.create(type="wordy", name="Wordy", settings={"number": number})
    return Customer(scripted, scripted_shop, channel=channel.id, channel_type="wordy", account=number)


@pytest.fixture
def provider(customer: Customer) -> Wordings:
    return wordings(customer.account)
