"""A small shop in memory that speaks the API, for a client on the other end of a real port."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

Json = dict[str, Any]


def at(minute: int) -> str:
    return f"2026-11-22T10:{minute:02d}:00Z"


def message(number: int, conversation: str, text: str, **changes: Any) -> Json:
    return {
        "id": f"msg_{number}",
        "conversation": conversation,
        "seq": number,
        "direction": "in",
        "visibility": "public",
        "author": {"type": "contact", "id": "cnt_1", "name": None},
        "content": {"kind": "text", "text": text},
        "status": "delivered",
        "created_at": at(number % 60),
        **changes,
    }


def mail(**changes: Any) -> Json:
    placement = {"code": "first", "detail": "A new conversation.", "message": None}
    told = {"subject": "Order 7", "class": "normal", "authenticity": "verified", "placement": placement, "bounce": None}
    return {**told, **changes}


def conversation(conversation_id: str, name: str | None, **changes: Any) -> Json:
    return {
        "id": conversation_id,
        "contact": {"id": f"cnt_{conversation_id}", "name": name},
        "status": "open",
        "channel": {"id": "chn_1", "type": "webchat", "name": "Shop window"},
        "unread": 0,
        "waiting_since": None,
        "last_message": None,
        "last_seq": 0,
        "agent_read_seq": 0,
        "created_at": at(0),
        "updated_at": at(0),
        **changes,
    }


class FakeShop:
    """Holds conversations and messages; `emit` is how the world outside makes something happen."""

    def __init__(self) -> None:
        self.conversations: dict[str, Json] = {}
        self.messages: list[Json] = []
        self.events: list[Json] = []
        self.calls: list[tuple[str, Json]] = []
        self.refuse: dict[str, tuple[int, str]] = {}
        self.moved = asyncio.Condition()
        self.app = Starlette(
            routes=[
                Route("/v1/me", self._me),
                Route("/v1/events", self._events),
                Route("/v1/conversations", self._conversations),
                Route("/v1/conversations/{id}", self._conversation),
                Route("/v1/conversations/{id}/messages", self._messages, methods=["GET"]),
                Route("/v1/conversations/{id}/messages", self._send, methods=["POST"]),
                Route("/v1/conversations/{id}/{verb}", self._act, methods=["POST"]),
            ]
        )

    def add(self, name: str | None, *texts: str) -> str:
        """Let a customer have written; return the conversation."""
        found = f"cnv_{len(self.conversations) + 1}"
        self.conversations[found] = conversation(found, name)
        for text in texts:
            self._keep(message(len(self.messages) + 1, found, text, author=self._author(found)))
        return found

    def add_mails(self, name: str, subject: str, *texts: str) -> str:
        """Let a customer have written mails."""
        found = self.add(name, *texts)
        self.conversations[found].update(
            subject=subject, channel={"id": "chn_2", "type": "email", "name": "help@shop.example"}
        )
        for one in self.messages:
            if one["conversation"] == found:
                one["mail"] = mail(subject=subject)
        return found

    async def receive(self, conversation_id: str, text: str, **changes: Any) -> Json:
        """Let a customer write now."""
        changes = {"author": self._author(conversation_id), **changes}
        new = message(len(self.messages) + 1, conversation_id, text, **changes)
        self._keep(new)
        await self.emit("message.received", new)
        return new

    async def status(self, found: Json, status: str, **changes: Any) -> None:
        found.update(status=status, **changes)
        await self.emit("message.status", found)

    async def emit(self, type_: str, data: Json, *, live_only: bool = False) -> None:
        number = len(self.events) + 1
        names: Json = {} if live_only else {"id": f"evt_{number}", "cursor": f"c{number}"}
        body = {"type": type_, "at": at(0), "shop": "shp_1", "conversation": data.get("conversation")}
        async with self.moved:
            self.events.append({**body, **names, "data": json.loads(json.dumps(data))})
            self.moved.notify_all()

    def asked(self, verb: str) -> list[Json]:
        return [body for called, body in self.calls if called == verb]

    def _author(self, conversation_id: str) -> Json:
        return {"type": "contact", **self.conversations[conversation_id]["contact"]}

    def _keep(self, new: Json) -> None:
        self.messages.append(new)
        owner = self.conversations[new["conversation"]]
        owner.update(last_message=new, last_seq=new["seq"], updated_at=new["created_at"])
        if new["direction"] == "in":
            owner.update(unread=owner["unread"] + 1, waiting_since=owner["waiting_since"] or new["created_at"])
        else:
            owner.update(waiting_since=None)

    def _refusal(self, verb: str) -> Response | None:
        if verb not in self.refuse:
            return None
        status, detail = self.refuse[verb]
        body = {"status": status, "code": "refused", "detail": detail}
        return JSONResponse(body, status, media_type="application/problem+json")

    async def _me(self, _request: Request) -> Response:
        principal = {"type": "agent", "id": "agt_1", "name": "Ann"}
        answer = {"shop": {"id": "shp_1", "name": "Shop"}, "principal": principal, "scopes": []}
        return self._refusal("me") or JSONResponse(answer)

    async def _conversations(self, request: Request) -> Response:
        found = list(self.conversations.values())
        if request.query_params.get("waiting"):
            found = [one for one in found if one["waiting_since"]]
        return JSONResponse({"items": found, "next": None, "prev": None})

    async def _conversation(self, request: Request) -> Response:
        return JSONResponse(self.conversations[request.path_params["id"]])

    async def _messages(self, request: Request) -> Response:
        found = [one for one in self.messages if one["conversation"] == request.path_params["id"]]
        end = int(request.query_params.get("before", len(found)))
        start = max(0, end - int(request.query_params["limit"]))
        body = {"items": found[start:end], "next": None, "prev": str(start) if start else None}
        return self._refusal("messages") or JSONResponse(body)

    async def _send(self, request: Request) -> Response:
        body = await request.json()
        self.calls.append(("send", body))
        if refusal := self._refusal("send"):
            return refusal
        new = message(
            len(self.messages) + 1,
            request.path_params["id"],
            "",
            direction="out",
            status="queued",
            author={"type": "agent", "id": "agt_1", "name": "Ann"},
            content=body["content"],
            client_ref=body["client_ref"],
        )
        self._keep(new)
        await self.emit("message.queued", new)
        return JSONResponse(new, 201)

    async def _act(self, request: Request) -> Response:
        verb = request.path_params["verb"]
        body = await request.json()
        self.calls.append((verb, {"id": request.path_params["id"], **body}))
        if verb == "read" and verb not in self.refuse:
            self.conversations[request.path_params["id"]].update(unread=0, agent_read_seq=len(self.messages))
        answer = {"told_customer": True, "reason": None, "up_to": body.get("up_to")}
        return self._refusal(verb) or JSONResponse(answer, 202 if verb == "typing" else 200)

    async def _events(self, request: Request) -> Response:
        after = request.query_params.get("after") or "c0"
        place = len(self.events) if after == "now" else int(after[1:])
        if "text/event-stream" not in request.headers["accept"]:
            return JSONResponse({"items": [], "next": f"c{place}"})
        return self._refusal("events") or StreamingResponse(self._stream(place), media_type="text/event-stream")

    async def _stream(self, place: int) -> AsyncIterator[str]:
        yield ": hello\n\n"
        while True:
            for event in self.events[place:]:
                named = f"id: {event['cursor']}\n" if "cursor" in event else ""
                yield f"{named}event: {event['type']}\ndata: {json.dumps(event)}\n\n"
            place = len(self.events)
            async with self.moved:
                if place == len(self.events):
                    await self.moved.wait()
