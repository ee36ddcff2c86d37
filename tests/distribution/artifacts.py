"""The files that `make dist` and `make sbom` leave in dist/."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
DIST = ROOT / "dist"
SBOM = DIST / "tie-forwarder.cdx.json"


def wheel() -> Path:
    """The only wheel."""
    return _only("*.whl")


def sdist() -> Path:
    """The only sdist."""
    return _only("*.tar.gz")


def _only(pattern: str) -> Path:
    found = sorted(DIST.glob(pattern))
    assert len(found) == 1, f"dist/{pattern}: {len(found)} files where there should be one; run `make dist`"
    return found[0]
