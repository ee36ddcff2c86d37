"""Words for the numbers in TIE events: trust levels, providers of reputations, and their attributes.

They are the public names of dxltieclient's constants in lower case; a test holds them against that, which may be
imported in the receiver only. A number that is not here has no public name. Records in the format `json` have numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class Provider(NamedTuple):
    """A provider of reputations."""

    name: str
    attributes: Mapping[str, str]
    """The names of its attributes by their numbers, which are text in the events."""


TRUST_LEVELS: Mapping[int, str] = MappingProxyType(
    {
        0: "not_set",
        1: "known_malicious",
        15: "most_likely_malicious",
        30: "might_be_malicious",
        50: "unknown",
        70: "might_be_trusted",
        85: "most_likely_trusted",
        99: "known_trusted",
        100: "known_trusted_installer",
    }
)
"""The trust levels of files and certificates."""

ATD_TRUST_LEVELS: Mapping[int, str] = MappingProxyType(
    {
        -2: "not_set",
        -1: "known_trusted",
        0: "most_likely_trusted",
        1: "might_be_trusted",
        2: "unknown",
        3: "might_be_malicious",
        4: "most_likely_malicious",
        5: "known_malicious",
    }
)
"""The trust levels in the attributes of Advanced Threat Defense; its reputations have those of `TRUST_LEVELS`."""

_FILE_GTI = {"2101908": "first_contact", "2102421": "prevalence", "2120340": "original_response"}
_FILE_ENTERPRISE = {
    "2101652": "prevalence",
    "2102165": "first_contact",
    "2111893": "enterprise_size",
    "2112148": "min_local_rep",
    "2112404": "max_local_rep",
    "2112660": "avg_local_rep",
    "2112916": "parent_min_local_rep",
    "2113172": "parent_max_local_rep",
    "2113428": "parent_avg_local_rep",
    "2113685": "detection_count",
    "2113942": "last_detection_time",
    "2114965": "file_name_count",
    "2123156": "is_prevalent",
    "2138264": "parent_file_reps",
    "2138520": "child_file_reps",
    "2139285": "server_version",
}
_FILE_ATD = {
    "4194962": "gam_score",
    "4195218": "av_engine_score",
    "4195474": "sandbox_score",
    "4195730": "verdict",
    "4197784": "behaviors",
}
_CERTIFICATE_GTI = {
    "2108821": "prevalence",
    "2109077": "first_contact",
    "2117524": "revoked",
    "2120340": "original_response",
}
_CERTIFICATE_ENTERPRISE = {
    "2109333": "prevalence",
    "2109589": "first_contact",
    "2122901": "has_file_overrides",
    "2125972": "is_prevalent",
    "2139285": "server_version",
}
_NONE: dict[str, str] = {}

FILE_PROVIDERS: Mapping[int, Provider] = MappingProxyType(
    {
        1: Provider("gti", MappingProxyType(_FILE_GTI)),
        3: Provider("enterprise", MappingProxyType(_FILE_ENTERPRISE)),
        5: Provider("atd", MappingProxyType(_FILE_ATD)),
        7: Provider("mwg", MappingProxyType(_NONE)),
        15: Provider("external", MappingProxyType(_NONE)),
    }
)
"""The providers of file reputations, by `providerId`."""

CERTIFICATE_PROVIDERS: Mapping[int, Provider] = MappingProxyType(
    {
        2: Provider("gti", MappingProxyType(_CERTIFICATE_GTI)),
        4: Provider("enterprise", MappingProxyType(_CERTIFICATE_ENTERPRISE)),
    }
)
"""The providers of certificate reputations, by `providerId`."""
