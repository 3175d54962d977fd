"""Read botocore's service models from disk only once for all sessions of a test run."""

from functools import cache
from typing import Any

import botocore.session
from botocore.loaders import Loader, create_loader


def read_models_once() -> None:
    """Let all sessions share a loader. Otherwise each parses the same files, which takes half of a command's time."""
    patched: Any = botocore.session
    patched.create_loader = _shared


@cache
def _shared(search_path: str | None = None) -> Loader:
    loader: Any = create_loader(search_path)
    loader._search_paths = _Paths(loader._search_paths)
    made: Loader = loader
    return made


class _Paths(list[str]):
    """Search paths that ignore the path that each boto3 session adds again."""

    def append(self, path: str) -> None:
        if path not in self:
            super().append(path)
