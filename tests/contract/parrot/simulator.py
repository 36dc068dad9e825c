"""Parrot's stand-in."""

import json
from collections.abc import Sequence

from shared.connector import Hook
from shared.simulator import Answer, Fact, FaultPlan, Request, Simulator, Taken
from tests.contract.parrot.connector import SIGNATURE, sign


class ParrotSimulator(Simulator):
    """Takes messages under `/messages`; facts are messages, or receipts if they have a status."""

    def __init__(self, *, account: str, token: str, signing_secret: str, plan: FaultPlan | None = None) -> None:
        super().__init__(plan=plan)
        self.account = account
        self._token = token
        self._signing_secret = signing_secret

    async def answer(self, request: Request) -> Answer:
        if request.headers.get("authorization") != f"Bearer {self._token}":
            return Answer.json({"error": "no such token"}, status=401)
        match request.method, request.url.path:
            case "POST", "/messages":
                return self.take(await request.json())
            case "GET", path if path.startswith("/files/"):
                return Answer(200, b"\x89PNG", {"content-type": "image/png"})
            case ("PUT", _) | ("GET", "/account") | ("POST", "/read" | "/typing"):
                return Answer.json({"ok": True})
        return Answer.json({"error": "no such address"}, status=404)

    def take(self, message: Fact) -> Answer:
        external_id = f"p{len(self.taken) + 1}"
        return Answer.json({"id": external_id}, taken=[Taken(json.dumps(message, sort_keys=True), external_id)])

    def hook(self, facts: Sequence[Fact]) -> Hook:
        batch = {
            "account": self.account,
            "messages": [dict(fact) for fact in facts if "status" not in fact],
            "receipts": [dict(fact) for fact in facts if "status" in fact],
        }
        return self.sign(json.dumps(batch).encode())

    def sign(self, body: bytes) -> Hook:
        return Hook("POST", {SIGNATURE: sign(self._signing_secret, body)}, {}, body)
