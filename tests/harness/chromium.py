"""Where the Chromium of this machine is."""

from __future__ import annotations

import shutil


def chromium_path() -> str | None:
    """The program, or None."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
