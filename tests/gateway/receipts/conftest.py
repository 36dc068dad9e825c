"""Someone to whom a shop writes, on a channel whose sends do as they are told."""

import pytest

from tests.gateway.receipts.answering import someone_on
from tests.support.customer import Customer
from tests.support.product import Running, Shop
from tests.support.scripted import Script, script_of


@pytest.fixture
async def customer(scripted: Running, scripted_shop: Shop) -> Customer:
    return await someone_on("scripted", scripted, scripted_shop)


@pytest.fixture
def script(customer: Customer) -> Script:
    return script_of(customer.channel_id)
