"""One run: so many payloads of one kind, a hundred of each document."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.differential.comparison import Comparison
from tests.differential.documents import DOCUMENTS
from tests.differential.variations import variations

_PER_DOCUMENT = 100


def compare(kind: str, count: int) -> Comparison:
    """Judges `count` payloads; raises what the first difference raises, on the smallest document that shows it."""
    comparison = Comparison(kind)

    @settings(
        max_examples=-(-count // _PER_DOCUMENT),
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(DOCUMENTS[kind], st.integers(0, 2**32))
    def judge(document: dict[str, Any], seed: int) -> None:
        for variation in variations(document, random.Random(seed), _PER_DOCUMENT):
            comparison.judge(variation)

    judge()
    return comparison
