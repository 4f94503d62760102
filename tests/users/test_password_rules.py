"""Which passwords are taken."""

from __future__ import annotations

import secrets

import pytest

from aitbc_server.errors import DomainError
from aitbc_server.users.common_passwords import fewest_pieces, is_common, repeated_unit
from aitbc_server.users.password_rules import PasswordRules, problem

EMAIL = "Ann.Lee@example.com"


class Known:
    """A service that knows these passwords."""

    def __init__(self, *passwords: str) -> None:
        self.passwords = passwords
        self.asked: list[str] = []

    async def contains(self, password: str) -> bool:
        """Whether it is one of them."""
        self.asked.append(password)
        return password in self.passwords


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery staple",
        "correcthorsebatterystaple",
        "unhappy-violet-otter",
        "tree river cloud stone",
        "MyDogIsCalledRex!",
        "мойпарольоченьдлинный",
        "🐎🔋📎🌲🌊☁️🪨🏔️🦦🎻🧭🪁🐝🌻🍋",
    ],
)
def test_long_passwords_are_taken_whatever_they_are_made_of(password: str) -> None:
    """ASVS 6.2.5: no rule asks for kinds of characters; any script will do."""
    assert problem(password, email=EMAIL) is None


def test_what_a_password_manager_makes_is_taken() -> None:
    """ASVS 6.2.9: at any length that it makes them, far above 64 characters."""
    for length in (15, 20, 64, 128, 1000):
        for _ in range(50):
            assert problem(secrets.token_urlsafe(1000)[:length], email=EMAIL) is None


@pytest.mark.parametrize(
    ("password", "message"),
    [
        ("", "must have 15 characters or more"),
        ("unhappy-violet", "must have 15 characters or more"),
        ("x y" * 334, "must have at most 1000 characters"),
        ("unhappy violet otter \udc80", "has a character that no keyboard types"),
        ("my name is ANN.LEE, hello", "must not contain your e-mail address"),
        ("welcome to AITBC everybody", "must not contain your e-mail address"),
        ("passwordpassword", "is too easy to guess"),
    ],
)
def test_what_is_wrong_is_said(password: str, message: str) -> None:
    """ASVS 6.2.1: in words that tell what to do instead."""
    found = problem(password, email=EMAIL)
    assert found is not None
    assert found.startswith(message)


@pytest.mark.parametrize(
    "password",
    [
        "passwordpassword",
        "PasswordPassword",
        "password12345678",
        "Password12345678!",
        "qwerty1234567890",
        "123456789012345",
        "qwertyuiopasdfgh",
        "lkjhgfdsapoiuytrewq",
        "aaaaaaaaaaaaaaaaaaa",
        "aaaabbbbccccdddd",
        "aB3$aB3$aB3$aB3$aB3$",
        "letmeinletmein123",
        "summer2026summer2026",
        "administrator1234",
        "thisismypassword",
        "1q2w3e4r5t6y7u8i",
        "momsanaladventure",
        "password" * 100,
        " " * 15,
    ],
)
def test_passwords_that_are_tried_first_are_refused(password: str) -> None:
    """ASVS 6.2.4, 6.2.12: the bundled list, and what people make of it to reach the length."""
    assert is_common(password)


def test_every_common_password_of_the_list_that_is_long_enough_is_refused() -> None:
    """ASVS 6.2.4: more than 3,000 of them, each found by itself; none slips through for its length."""
    from zxcvbn.frequency_lists import FREQUENCY_LISTS  # type: ignore[import-untyped]

    listed = FREQUENCY_LISTS["passwords"]
    assert len(listed) > 3000
    assert [word for word in listed[:3000] if not is_common(word)] == []
    long = [word for word in listed if len(word) >= 15]
    assert long
    assert all(is_common(word) for word in long)


@pytest.mark.parametrize(
    ("text", "unit"),
    [("", None), ("a", None), ("aa", "a"), ("abcab", None), ("abcabcab", "abc"), ("abab", "ab"), ("abcd", None)],
)
def test_repetitions_are_found(text: str, unit: str | None) -> None:
    """The shortest piece that the whole text repeats, at least twice."""
    assert repeated_unit(text) == unit


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("", 0),
        ("€", 1),
        ("€¥", 2),
        ("password", 1),
        ("passwordpassword", 2),
        ("§§§§§", 1),
        ("abcdefg", 1),
        ("€password¥", 3),
    ],
)
def test_pieces_are_counted(text: str, pieces: int) -> None:
    """Common words, runs and repetitions count once, everything else by the character."""
    assert fewest_pieces(text) == pieces


async def test_the_service_is_asked_only_about_what_else_would_be_taken() -> None:
    """Nothing leaves for a password that is refused anyway."""
    known = Known("unhappy-violet-otter")
    rules = PasswordRules(known)
    for password, words in (("short", "15 characters"), ("unhappy-violet-otter", "data breach")):
        with pytest.raises(DomainError) as refused:
            await rules.check("new_password", password, email=EMAIL)
        assert refused.value.code == "validation_error"
        assert words in refused.value.detail
        assert [error.field for error in refused.value.errors] == ["new_password"]
        assert password not in refused.value.detail
    await rules.check("new_password", "unhappy-violet-otters", email=EMAIL)
    assert known.asked == ["unhappy-violet-otter", "unhappy-violet-otters"]
    await PasswordRules().check("new_password", "unhappy-violet-otter", email=EMAIL)
