"""Whether the sender is who the mail says, by what our own mail server wrote into its head.

RFC 8601: `Authentication-Results: <who checked>; method=result property=value; ...`. Anybody can write such a line, so
only the topmost of our own server counts, and none at all where the shop has not said how its server calls itself.
"""

import re
from typing import Final

from connectors.email.headers import Headers
from shared.events import Authenticity

# Microsoft 365 leaves its name out, and renames the lines of others that come in.
MICROSOFT: Final = "protection.outlook.com"
COMMENT: Final = re.compile(r"\([^()]{0,500}\)")
RESULT: Final = re.compile(r"^\s*(spf|dkim|dmarc|arc|auth)\s*(?:/\d+)?\s*=\s*([a-z]+)(.*)$", re.IGNORECASE | re.DOTALL)
QUOTED: Final = re.compile(r'"(?:[^"\\]|\\.){0,500}"')
FROM: Final = re.compile(r"header\.from\s*=\s*(?:[^\s;@\"]*@)?([^\s;\"]+)", re.IGNORECASE)
SIGNER: Final = re.compile(r"header\.(?:d|i)\s*=\s*\"?(?:[^\s;@\"]*@)?([^\s;\"]+)", re.IGNORECASE)


def authenticity(headers: Headers, sender: str, server: str | None) -> Authenticity:
    """`server`: how our own server names itself in these lines (authserv-id)."""
    line = ours(headers, server) if server else None
    if line is None:
        return Authenticity.UNKNOWN
    domain = sender.rpartition("@")[2]
    results: dict[str, str] = {}
    signed = False
    for piece in QUOTED.sub('""', COMMENT.sub(" ", line)).split(";")[1:]:
        found = RESULT.match(piece)
        if found is None:
            continue
        method, result = found[1].lower(), found[2].lower()
        signers = SIGNER.findall(found[3])
        if method == "dkim" and result == "pass":
            signed = signed or any(aligned(signer.lower().rstrip("."), domain) for signer in signers)
        if method == "dmarc" and result == "pass" and not is_of(found[3], domain):
            continue
        if results.get(method) != "pass":
            results[method] = result
    if results.get("dmarc") == "pass":
        return Authenticity.VERIFIED
    if results.get("dmarc") == "fail":
        return Authenticity.SUSPICIOUS
    if signed:
        return Authenticity.VERIFIED
    refused = results.get("spf") == "fail" or results.get("dkim") == "fail"
    return Authenticity.SUSPICIOUS if refused and results.get("dkim") != "pass" else Authenticity.UNKNOWN


def is_of(said: str, domain: str) -> bool:
    """Whether a result speaks of the sender's domain, as far as it says of whose."""
    named = FROM.search(said)
    return named is None or aligned(named[1].lower().rstrip("."), domain)


def ours(headers: Headers, server: str) -> str | None:
    """The topmost line of our server."""
    for line in headers.all("authentication-results"):
        name = COMMENT.sub(" ", line).partition(";")[0].split()
        if name and name[0].lower().rstrip(".") == server.lower():
            return line
        if server.lower() == MICROSOFT and name and "=" in name[0]:
            return f"{MICROSOFT}; {line}"
    return None


def aligned(signer: str, domain: str) -> bool:
    """Whether who signed is the sender's domain, one above it or one below it (relaxed alignment)."""
    if not signer or "." not in signer:
        return False
    return signer == domain or domain.endswith(f".{signer}") or signer.endswith(f".{domain}")
