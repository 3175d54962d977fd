"""The transform of a function for random histories, and what the replica is to hold, by the oracle."""

from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any, Final, TypeAlias

from ddbreplica.model import Image
from ddbreplica.records.decode import Decoded
from ddbreplica.transform.batch import transformed
from ddbreplica.transform.deployed import Deployed
from ddbreplica.transform.parse import rules_of
from ddbreplica.transform.secret import Secret, SecretId
from tests.support.transform_oracle import Oracle, RefusedError

Document: TypeAlias = Mapping[str, Any]
"""The JSON object of a transform. Without members every item stays as it is."""

SECRET: Final = Secret(SecretId("arn", "1"), b"canary-of-the-secret")


def transform_of(document: Document) -> Callable[[Decoded], Decoded] | None:
    """Return the transform as the function applies it, or None for a document without members."""
    if not document:
        return None
    return partial(transformed, transform=Deployed(rules_of(document), SECRET.id), secret=SECRET)


def expected(document: Document, image: Image, key: Collection[str]) -> Image | None:
    """Return the replica's item for an item of the source, or None if it cannot be transformed."""
    try:
        return Oracle(document, key=key, secret=SECRET.value).expected(image)
    except RefusedError:
        return None
