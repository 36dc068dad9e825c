"""The page of the API: whole, safe, and from here alone."""

import json
import re
import shlex

import httpx

from tests.support.product import Running, Shop


async def test_the_page_shows_every_operation_and_loads_nothing_from_elsewhere(running: Running) -> None:
    async with httpx.AsyncClient(base_url=running.url) as http:
        page = (await http.get("/docs")).text
        described = (await http.get("/openapi.json")).json()
    operations = [op["operationId"] for item in described["paths"].values() for op in item.values()]
    assert len(operations) > 25
    assert [name for name in operations if f'id="{name}"' not in page] == []
    assert re.findall(r"<(?:script|link|img|iframe)", page) == []
    assert described["openapi"].startswith("3.1")


async def test_the_examples_of_what_can_be_made_work_as_they_stand(running: Running, shop: Shop) -> None:
    async with httpx.AsyncClient(base_url=running.url, headers={"Authorization": f"Bearer {shop.key}"}) as http:
        page = (await http.get("/docs")).text
        for name in ("contacts.create", "agents.create", "keys.create"):
            block = page.partition(f'id="{name}"')[2].partition("<pre>")[2].partition("</pre>")[0]
            words = shlex.split(block.replace("&quot;", '"').replace("&#x27;", "'").replace("\\\n", " "))
            body = json.loads(words[words.index("-d") + 1])
            answer = await http.post(words[3].removeprefix(running.url), json=body)
            assert answer.status_code == 201, (name, body, answer.text)
