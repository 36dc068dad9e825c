"""Errors know their fate, and the tree in the docstring is the tree."""

import shared.errors
from shared.errors import IngressError, SendError, ShopbellError, Throttled, Unavailable
from shared.events import Fate


def leaves(kind: type[ShopbellError]) -> list[type[ShopbellError]]:
    return [kind] if not kind.__subclasses__() else [leaf for sub in kind.__subclasses__() for leaf in leaves(sub)]


def every_error() -> list[type[ShopbellError]]:
    return [leaf for leaf in leaves(ShopbellError) if leaf.__module__ == "shared.errors"]


def test_every_error_has_a_code_of_its_own() -> None:
    codes = [error.code for error in every_error()]
    assert len(set(codes)) == len(codes)
    assert "error" not in codes


def test_every_error_stands_in_the_tree() -> None:
    tree = shared.errors.__doc__ or ""
    assert [error.__name__ for error in every_error() if error.__name__ not in tree] == []


def test_every_ingress_error_has_a_status_and_every_send_error_a_fate() -> None:
    for error in every_error():
        if issubclass(error, IngressError):
            assert error.http_status in {200, 400, 401, 404}
        if issubclass(error, SendError):
            assert error.fate in Fate


def test_an_error_without_words_says_what_its_class_says() -> None:
    assert str(Unavailable()) == "The provider could not be reached; nothing was sent."
    assert Unavailable("No route.").detail == "No route."


def test_only_a_throttled_send_says_when_to_come_back() -> None:
    assert Throttled(retry_after_s=2.5).retry_after_s == 2.5
    assert Throttled().retry_after_s is None
    assert Unavailable().retry_after_s is None
