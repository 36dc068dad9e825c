"""Signatures, sealed values and secrets: what was changed anywhere is refused, and nothing shows a key."""

import json
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.signing import (
    BASE62,
    BadToken,
    b64,
    checksum,
    derive_key,
    hmac_sha256,
    is_secret,
    new_secret,
    read_claims,
    seal,
    sign_claims,
    unb64,
    unseal,
    verify_hmac_sha256,
)

KEY = derive_key(b"master", "tests")
OTHER_KEY = derive_key(b"master", "other tests")
URL_SAFE = string.ascii_letters + string.digits + "-_"
CLAIMS: dict[str, str | int] = {"sub": "vis_1", "exp": 2_000}


# HMAC


def test_the_hmac_is_that_of_rfc_4231() -> None:
    expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert hmac_sha256(b"Jefe", b"what do ya want for nothing?").hex() == expected


@given(st.binary(max_size=40), st.integers(0, 31), st.integers(0, 7))
def test_a_signature_with_one_bit_changed_is_wrong(message: bytes, place: int, bit: int) -> None:
    signature = bytearray(hmac_sha256(KEY, message))
    assert verify_hmac_sha256(KEY, message, bytes(signature))
    signature[place] ^= 1 << bit
    assert not verify_hmac_sha256(KEY, message, bytes(signature))


@pytest.mark.parametrize("signature", [b"", b"\x00", b"\x00" * 32, b"\x00" * 33])
def test_a_signature_of_any_length_is_compared_without_an_error(signature: bytes) -> None:
    assert not verify_hmac_sha256(KEY, b"message", signature)


def test_each_purpose_has_a_key_of_its_own() -> None:
    keys = {derive_key(master, purpose) for master in (b"a", b"b") for purpose in ("", "x", "y")}
    assert len(keys) == 6
    assert {len(key) for key in keys} == {32}


# Base64


@given(st.binary(max_size=40))
def test_base64_round_trips_in_letters_that_a_url_takes(data: bytes) -> None:
    assert unb64(b64(data)) == data
    assert set(b64(data)) <= set(URL_SAFE)


@given(st.text(URL_SAFE + "+/= \n", max_size=12) | st.text(max_size=12))
def test_what_is_read_as_base64_has_only_that_spelling(text: str) -> None:
    try:
        data = unb64(text)
    except BadToken:
        return
    assert b64(data) == text


@pytest.mark.parametrize("text", ["a", "a+/a", "YQ==", "YR", " YQ", "YQ\n", "é", "\ud800", "YQ.YQ"])
def test_what_is_not_base64_is_a_bad_token(text: str) -> None:
    with pytest.raises(BadToken):
        unb64(text)


# Claims


def test_claims_come_back_until_they_expire() -> None:
    token = sign_claims(KEY, CLAIMS)
    assert read_claims(KEY, token, now_s=1_999.9) == CLAIMS
    for now_s in (2_000, 2_000.1, 3_000):
        with pytest.raises(BadToken, match="expired"):
            read_claims(KEY, token, now_s=now_s)


@given(
    st.dictionaries(st.text(max_size=5), st.text(max_size=5) | st.integers(), max_size=4),
    st.integers(1, 2**40),
)
def test_any_claims_come_back(claims: dict[str, str | int], expires: int) -> None:
    claims = {**claims, "exp": expires}
    assert read_claims(KEY, sign_claims(KEY, claims), now_s=0) == claims


def test_a_token_changed_in_any_place_is_refused() -> None:
    token = sign_claims(KEY, CLAIMS)
    for place in range(len(token)):
        for letter in {*URL_SAFE, ".", "=", "é"} - {token[place]}:
            with pytest.raises(BadToken):
                read_claims(KEY, token[:place] + letter + token[place + 1 :], now_s=0)


@given(st.text(max_size=30) | st.text(URL_SAFE + ".", max_size=60))
def test_no_other_text_is_a_token(text: str) -> None:
    with pytest.raises(BadToken):
        read_claims(KEY, text, now_s=0)


def test_a_token_that_was_cut_or_continued_is_refused() -> None:
    token = sign_claims(KEY, CLAIMS)
    for changed in (token[:-1], token + "A", token + ".", "." + token, token + "\n", token + ".x", f"{token}={token}"):
        with pytest.raises(BadToken):
            read_claims(KEY, changed, now_s=0)


def test_a_token_of_another_key_is_refused() -> None:
    with pytest.raises(BadToken, match="wrong signature"):
        read_claims(OTHER_KEY, sign_claims(KEY, CLAIMS), now_s=0)


@pytest.mark.parametrize("claims", [{"sub": "x"}, {"sub": "x", "exp": "9999"}])
def test_claims_that_never_expire_are_refused(claims: dict[str, str | int]) -> None:
    with pytest.raises(BadToken):
        read_claims(KEY, sign_claims(KEY, claims), now_s=0)


def test_claims_stand_in_clear() -> None:
    payload, _, _ = sign_claims(KEY, CLAIMS).partition(".")
    assert json.loads(unb64(payload)) == CLAIMS


# Sealed


@given(st.binary(max_size=60), st.binary(max_size=20))
def test_what_was_sealed_is_opened_where_it_belongs(data: bytes, place: bytes) -> None:
    sealed = seal(KEY, data, bound_to=place)
    assert unseal(KEY, sealed, bound_to=place) == data
    with pytest.raises(BadToken):
        unseal(KEY, sealed, bound_to=place + b"x")
    with pytest.raises(BadToken):
        unseal(OTHER_KEY, sealed, bound_to=place)


def test_a_sealed_value_changed_in_any_byte_is_refused() -> None:
    sealed = seal(KEY, b"secret words", bound_to=b"row 1")
    for place in range(len(sealed)):
        changed = bytearray(sealed)
        changed[place] ^= 1
        with pytest.raises(BadToken):
            unseal(KEY, bytes(changed), bound_to=b"row 1")


def test_a_sealed_value_of_any_length_is_refused_as_a_bad_token() -> None:
    sealed = seal(KEY, b"secret words")
    for length in range(len(sealed)):
        with pytest.raises(BadToken):
            unseal(KEY, sealed[:length])


def test_sealing_twice_gives_two_values_and_shows_nothing() -> None:
    assert seal(KEY, b"secret words") != seal(KEY, b"secret words")
    assert b"secret" not in seal(KEY, b"secret words")


# Secrets


def test_a_new_secret_is_recognised_and_never_comes_twice() -> None:
    secrets = {new_secret("sb_live") for _ in range(200)}
    assert len(secrets) == 200
    for secret in secrets:
        assert is_secret(secret)
        assert secret.startswith("sb_live_")
        assert len(secret) == len("sb_live_") + 32 + 1 + 6


def test_a_secret_with_any_one_letter_changed_is_a_typo() -> None:
    secret = new_secret("sb_live")
    for place in range(len(secret)):
        for letter in set(BASE62 + "_-") - {secret[place]}:
            assert not is_secret(secret[:place] + letter + secret[place + 1 :]), place


@given(st.text(st.characters(exclude_categories=()), max_size=60))
def test_no_other_text_is_a_secret_and_none_is_an_error(text: str) -> None:
    assert not is_secret(text)


def test_a_checksum_has_six_letters_that_a_double_click_takes() -> None:
    for text in ("", "a", "sb_live_x"):
        assert len(checksum(text)) == 6
        assert checksum(text).isalnum()
