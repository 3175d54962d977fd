"""The project's modules, for tests that read their source."""

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
ENGINE: Final = ROOT / "src" / "ddbreplica"
TERMINAL: Final = ROOT / "cli" / "ddbreplica_cli"


def modules_of(package: Path) -> list[Path]:
    """Return the files of all modules in a package and in the packages below it, without `__init__.py`."""
    return sorted(path for path in package.rglob("*.py") if path.stem != "__init__")


def name_of(path: Path) -> str:
    """Return the dotted name under which a module of the project is imported."""
    package = TERMINAL if path.is_relative_to(TERMINAL) else ENGINE
    return ".".join(path.relative_to(package.parent).with_suffix("").parts)
