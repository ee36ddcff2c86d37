"""The words for TIE's numbers are those of dxltieclient's constants, all of them and no others."""

from __future__ import annotations

from typing import Any

import pytest
from dxltieclient import constants

from tie_forwarder.events.names import ATD_TRUST_LEVELS, CERTIFICATE_PROVIDERS, FILE_PROVIDERS, TRUST_LEVELS


def named(constants_class: type) -> dict[Any, str]:
    """Every constant of the class and its bases, by value."""
    names = {name: getattr(constants_class, name) for name in dir(constants_class) if name.isupper()}
    by_value = {value: name.lower() for name, value in names.items()}
    assert len(by_value) == len(names), "two names for one value"
    return by_value


def test_trust_levels_have_the_names_of_dxltieclient() -> None:
    assert named(constants.TrustLevel) == TRUST_LEVELS
    assert named(constants.AtdTrustLevel) == ATD_TRUST_LEVELS


def test_providers_have_the_names_of_dxltieclient() -> None:
    assert {number: provider.name for number, provider in FILE_PROVIDERS.items()} == named(constants.FileProvider)
    certificates = {number: provider.name for number, provider in CERTIFICATE_PROVIDERS.items()}
    assert certificates == named(constants.CertProvider)


@pytest.mark.parametrize(
    ("constants_class", "attributes"),
    [
        (constants.FileGtiAttrib, FILE_PROVIDERS[1].attributes),
        (constants.FileEnterpriseAttrib, FILE_PROVIDERS[3].attributes),
        (constants.AtdAttrib, FILE_PROVIDERS[5].attributes),
        (constants.CertGtiAttrib, CERTIFICATE_PROVIDERS[2].attributes),
        (constants.CertEnterpriseAttrib, CERTIFICATE_PROVIDERS[4].attributes),
    ],
)
def test_attributes_have_the_names_of_dxltieclient(constants_class: type, attributes: dict[str, str]) -> None:
    assert named(constants_class) == attributes


def test_providers_without_attributes_in_dxltieclient_have_none_here() -> None:
    known = {name for name in dir(constants) if name.endswith("Attrib")}
    assert known == {
        "EnterpriseAttrib", "FileEnterpriseAttrib", "CertEnterpriseAttrib", "GtiAttrib", "FileGtiAttrib",
        "CertGtiAttrib", "AtdAttrib",
    }  # fmt: skip
    assert not FILE_PROVIDERS[7].attributes
    assert not FILE_PROVIDERS[15].attributes
