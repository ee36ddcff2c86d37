"""The built image: what it says of itself, its layers and its tree.

Owns: one working container of buildah, by which the tree is mounted. Must not: change the image.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

NAME = os.environ.get("IMAGE", "localhost/tie-forwarder") + ":latest"


class Image:
    """An image in buildah's store, by its name."""

    def __init__(self, name: str = NAME) -> None:
        self.name = name
        self._container = ""
        self.tree = Path()

    @property
    def config(self) -> dict[str, Any]:
        """What it says of itself, in Docker's words."""
        config: dict[str, Any] = self._inspected()["Docker"]["config"]
        return config

    @property
    def layers(self) -> list[str]:
        """The digests of its layers, not compressed: equal ones hold the same files."""
        layers: list[str] = self._inspected()["OCIv1"]["rootfs"]["diff_ids"]
        return layers

    def layer_bytes(self) -> int:
        """The size of its layers, not compressed. Writes them to a temporary folder for it."""
        with tempfile.TemporaryDirectory() as directory:
            buildah("push", "--quiet", "--disable-compression", self.name, f"dir:{directory}")
            manifest = json.loads((Path(directory) / "manifest.json").read_text(encoding="utf-8"))
            digests = [layer["digest"].partition(":")[2] for layer in manifest["layers"]]
            return sum((Path(directory) / digest).stat().st_size for digest in digests)

    def remove(self) -> None:
        """Take it out of the store."""
        buildah("rmi", "--force", self.name)

    def _inspected(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(buildah("inspect", "--type", "image", self.name))
        return answer

    def __enter__(self) -> Self:
        if self.name not in buildah("images", "--format", "{{.Name}}:{{.Tag}}").splitlines():
            raise LookupError(f"buildah has no image {self.name}; run `make image BUILDER=buildah`")
        self._container = buildah("from", "--pull-never", self.name).strip()
        self.tree = Path(buildah("mount", self._container).strip())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        buildah("rm", self._container)


def buildah(*arguments: str) -> str:
    """What a command of buildah prints; `AssertionError` with its complaint when it fails."""
    done = subprocess.run(
        ["buildah", *arguments], env={**os.environ, **_store()}, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, f"buildah {' '.join(arguments)}\n{done.stdout}{done.stderr}"
    return done.stdout


@cache
def _store() -> dict[str, str]:
    # As deploy/image/build.sh has it: where one tree cannot be laid over another, trees are copied.
    return {} if subprocess.run(["buildah", "info"], capture_output=True).returncode == 0 else {"STORAGE_DRIVER": "vfs"}
