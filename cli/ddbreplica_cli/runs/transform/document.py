"""Read a transform from a file, or the one that the options of a command give."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import click

from ddbreplica.errors import TaskError, TransformError, naming
from ddbreplica.files.limits import MAX_SMALL
from ddbreplica.transform.deployed import SECRET_ARN, SECRET_VERSION, TRANSFORM, Deployed, Given, deployed
from ddbreplica.transform.parse import MAX_BYTES, document_of
from ddbreplica_cli.runs.transform.deployable import parameter

NONE: Final = "none"
"""The value of --transform for a function that has no transform. A file of that name is `./none`."""

_OPTIONS: Final = {
    SECRET_ARN: "--transform-secret-arn",
    SECRET_VERSION: "--transform-secret-version",
}


def parameter_of(file: Path) -> str:
    """Return a file's transform as the text of a parameter. Raises TransformError and TaskError."""
    return parameter(document_of(_text_of(file)))


@contextmanager
def refusals_of(file: Path) -> Iterator[None]:
    """Turn each TransformError of the block into a TaskError that names the file."""
    try:
        yield
    except TransformError as error:
        fact, allowed = error.fact.removeprefix("The transform "), error.hint.removeprefix("Allowed: ")
        raise TaskError(
            f"{file}: the transform {fact}", hint=f"correct the file; allowed: {allowed}"
        ) from error


def given_by(values: dict[str, Any]) -> Given | None:
    """Take the options of the transform out of a command's values; None without --transform.

    Raises UsageError and TaskError.
    """
    transform, arn, version = (
        values.pop(name) for name in ("transform", "transform_secret_arn", "transform_secret_version")
    )
    if (arn or version) and transform in (None, NONE):
        raise click.UsageError(
            "--transform-secret-arn and --transform-secret-version require --transform FILE."
        )
    if transform is None:
        return None
    if transform == NONE:
        return Given(None)
    return Given(_deployed(Path(transform), arn or "", version or ""))


def _deployed(file: Path, arn: str, version: str) -> Deployed | None:
    with refusals_of(file):
        env = {TRANSFORM: parameter_of(file), SECRET_ARN: arn, SECRET_VERSION: version}
        try:
            return deployed(env)
        except TransformError as error:
            for variable, option in _OPTIONS.items():
                named = f"The environment variable {variable}"
                if error.fact.startswith(named):
                    raise click.UsageError(
                        f"{option}{error.fact.removeprefix(named)} {error.hint}"
                    ) from error
            raise TransformError(error.fact, hint=_with_options(error.hint)) from error


def _with_options(text: str) -> str:
    for variable, option in _OPTIONS.items():
        text = text.replace(variable, option)
    return text


def _text_of(file: Path) -> str:
    with naming(file), file.open("rb") as opened:
        content = opened.read(MAX_SMALL + 1)
    if len(content) > MAX_SMALL:
        raise TaskError(
            f"{file} has more than {MAX_SMALL:,} bytes.", hint=f"a transform has at most {MAX_BYTES:,} bytes."
        )
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise TaskError(f"{file} is not in UTF-8.", hint="save the file in UTF-8.") from error
