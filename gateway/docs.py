"""`/docs`: the API on one page, made from its own description. Nothing is loaded from elsewhere."""

import json
from collections.abc import Iterator, Mapping
from functools import cached_property
from html import escape
from typing import Any, Final

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

METHODS: Final = ("get", "post", "put", "patch", "delete")
EXAMPLE_DEPTH: Final = 6
Schema = Mapping[str, Any]

STYLE: Final = """
:root { color-scheme: light dark; --ink: #1d2621; --soft: #5d6a63; --paper: #fbfaf7; --card: #fff; --line: #e2e0d8;
  --accent: #0b6b57; --code: #f3f1ea }
@media (prefers-color-scheme: dark) { :root { --ink: #e8ece9; --soft: #a3aea8; --paper: #151917; --card: #1d2320;
  --line: #313a35; --accent: #6fd3b8; --code: #262e2a } }
* { box-sizing: border-box }
body { margin: 0; font: 16px/1.55 system-ui, sans-serif; color: var(--ink); background: var(--paper) }
main { max-width: 60rem; margin: 0 auto; padding: 2rem 1.25rem 6rem }
h1 { font-size: 1.9rem; margin: 0 0 .5rem } h2 { margin: 3rem 0 1rem; text-transform: capitalize }
nav { display: flex; flex-wrap: wrap; gap: .5rem 1.25rem; padding: .75rem 0; border-bottom: 1px solid var(--line) }
a { color: var(--accent) } p { margin: .5rem 0; max-width: 46rem }
details { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; margin: .6rem 0 }
summary { padding: .7rem 1rem; cursor: pointer; display: flex; flex-wrap: wrap; gap: .25rem .8rem }
summary code { background: none; padding: 0; overflow-wrap: anywhere }
.method { font: 600 .8rem/1.7 ui-monospace, monospace; color: var(--accent); width: 4rem; text-transform: uppercase }
.name { color: var(--soft) } .body { padding: 0 1rem 1rem }
code, pre { font: .88rem/1.5 ui-monospace, monospace; background: var(--code); border-radius: .3rem }
code { padding: .1rem .3rem }
pre { padding: .8rem 1rem; overflow-x: auto; margin: .5rem 0 }
table { border-collapse: collapse; width: 100% } td, th { text-align: left; padding: .3rem .8rem .3rem 0;
  border-bottom: 1px solid var(--line); vertical-align: top } th { color: var(--soft); font-weight: 500 }
h3 { font-size: 1rem; margin: 1.2rem 0 .3rem }
"""


def add_docs(app: FastAPI) -> None:
    """Serve the page. The description itself stays at `/openapi.json`."""

    async def docs(request: Request) -> Response:
        page = Page(app.openapi(), str(request.base_url).rstrip("/"))
        return HTMLResponse(
            page.html, headers={"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
        )

    app.add_route("/docs", docs, include_in_schema=False)


class Page:
    """The page of one description."""

    def __init__(self, described: Schema, base_url: str) -> None:
        self._described = described
        self._base_url = base_url

    @cached_property
    def html(self) -> str:
        info = self._described["info"]
        groups = self._groups()
        links = "".join(f'<a href="#{escape(tag)}">{escape(tag)}</a>' for tag in groups)
        sections = "".join(self._section(tag, operations) for tag, operations in groups.items())
        return (
            '<!doctype html><html lang="en"><meta charset="utf-8"><title>Shopbell API</title>'
            f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style><main>'
            f"<h1>{escape(info['title'])} API</h1>{paragraphs(info['description'])}"
            f'<p>Machines read <a href="/openapi.json">/openapi.json</a>.</p><nav>{links}</nav>{sections}</main></html>'
        )

    def _groups(self) -> dict[str, list[tuple[str, str, Schema]]]:
        groups: dict[str, list[tuple[str, str, Schema]]] = {}
        for path, item in self._described["paths"].items():
            for method in METHODS:
                if method in item:
                    tag = item[method].get("tags", ["other"])[0]
                    groups.setdefault(tag, []).append((method, path, item[method]))
        return groups

    def _section(self, tag: str, operations: list[tuple[str, str, Schema]]) -> str:
        told = "".join(self._operation(*operation) for operation in operations)
        return f'<section id="{escape(tag)}"><h2>{escape(tag)}</h2>{told}</section>'

    def _operation(self, method: str, path: str, operation: Schema) -> str:
        name = escape(operation.get("operationId", ""))
        return (
            f'<details id="{name}"><summary><span class="method">{method}</span><code>{escape(path)}</code>'
            f'<span class="name">{escape(operation.get("summary", ""))}</span></summary><div class="body">'
            f"{paragraphs(operation.get('description', ''))}{parameters(operation)}"
            f"<h3>Example</h3><pre>{escape(self._curl(method, path, operation))}</pre>{self._answer(operation)}"
            "</div></details>"
        )

    def _curl(self, method: str, path: str, operation: Schema) -> str:
        flag = "" if method == "get" else f"-X {method.upper()} "
        lines = [f'curl {flag}"{self._base_url}{path}"', '-H "Authorization: Bearer $KEY"']
        body = operation.get("requestBody", {}).get("content", {}).get("application/json")
        if body is not None:
            example = json.dumps(self._example(body["schema"], needed_only=True))
            lines += ['-H "Content-Type: application/json"', f"-d '{example}'"]
        return " \\\n  ".join(lines)

    def _answer(self, operation: Schema) -> str:
        for status, answer in operation["responses"].items():
            schema = answer.get("content", {}).get("application/json", {}).get("schema")
            if status.startswith("2") and schema:
                shown = json.dumps(self._example(schema), indent=2)
                return f"<h3>Answer {escape(status)}</h3><pre>{escape(shown)}</pre>"
        return ""

    def _example(self, schema: Schema, depth: int = 0, *, needed_only: bool = False) -> Any:
        """Something that fits the schema and is short."""
        if "$ref" in schema:
            schema = self._described["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        if "const" in schema:
            return schema["const"]
        if schema.get("default") is not None:
            return schema["default"]
        for choice in ("anyOf", "oneOf", "allOf"):
            if choice in schema:
                return self._example(schema[choice][0], depth, needed_only=needed_only)
        if "enum" in schema:
            return schema["enum"][0]
        match schema.get("type"):
            case "object":
                members = schema.get("properties", {}) if depth < EXAMPLE_DEPTH else {}
                wanted = schema.get("required") or list(members)[:1] if needed_only else members
                return {
                    n: self._example(members[n], depth + 1, needed_only=needed_only) for n in wanted if n in members
                }
            case "array":
                items = schema.get("items")
                if not items or depth >= EXAMPLE_DEPTH:
                    return []
                return [self._example(items, depth + 1, needed_only=needed_only)]
            case kind:
                return SCALARS.get(schema.get("format") or kind or "null")


SCALARS: Final[Mapping[str, Any]] = {
    "string": "...",
    "integer": 1,
    "number": 1.5,
    "boolean": True,
    "date-time": "2026-01-01T12:00:00.000Z",
    "null": None,
}


def paragraphs(text: str) -> str:
    return "".join(f"<p>{marked(part)}</p>" for part in text.strip().split("\n\n") if part)


def marked(text: str) -> str:
    """Escaped, with `code` shown as code."""
    return "".join(f"<code>{part}</code>" if n % 2 else part for n, part in enumerate(escape(text).split("`")))


def parameters(operation: Schema) -> str:
    rows = "".join(parameter_rows(operation))
    return f"<h3>Parameters</h3><table>{rows}</table>" if rows else ""


def parameter_rows(operation: Schema) -> Iterator[str]:
    for parameter in operation.get("parameters", ()):
        where = "needed" if parameter.get("required") else parameter["in"]
        told = parameter.get("description", "")
        cells = (f"<code>{escape(parameter['name'])}</code>", escape(where), marked(told))
        yield "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"
