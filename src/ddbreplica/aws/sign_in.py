"""Provide a session whose credentials raise no other errors than botocore's, whatever is wrong with a profile.

botocore itself lets any exception through if the configuration of a user is wrong: a `credential_process` that prints
no JSON, a missing token file, an invalid date. This may also happen when credentials are renewed during a command.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import botocore.session
from botocore.exceptions import BotoCoreError, ClientError, CredentialRetrievalError

from ddbreplica.aws.botocore_private import provider_of

_UNKNOWN = "the AWS configuration"


class SignInSession(botocore.session.Session):
    """A session of botocore with such credentials."""

    def get_credentials(self, *args: Any, **kwargs: Any) -> Any:
        """Load the credentials, or return None if there are none. Raises only botocore's errors."""
        with _explained(_UNKNOWN):
            found = super().get_credentials(*args, **kwargs)
        return None if found is None else _Credentials(found)


class _Credentials:
    """Credentials of botocore whose methods raise only botocore's errors."""

    def __init__(self, credentials: Any) -> None:
        self._credentials = credentials

    def __getattr__(self, name: str) -> Any:
        # Also for attributes: botocore renews the credentials when `access_key` is read.
        with _explained(self._provider):
            value = getattr(self._credentials, name)
        return self._guarded(value) if callable(value) else value

    def get_frozen_credentials(self) -> Any:
        """Return the current credentials, renewed if necessary, and check that HTTP headers can hold them."""
        with _explained(self._provider):
            frozen = self._credentials.get_frozen_credentials()
        if not all(map(_is_header, (frozen.access_key, frozen.secret_key, frozen.token or "x"))):
            raise CredentialRetrievalError(
                provider=self._provider,
                error_msg="a part of the credentials is not text, or has a character that an HTTP header cannot hold",
            )
        return frozen

    def _guarded(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def guarded(*args: Any, **kwargs: Any) -> Any:
            with _explained(self._provider):
                value = method(*args, **kwargs)
            return self._guarded(value) if callable(value) else value

        return guarded

    @property
    def _provider(self) -> str:
        return provider_of(self._credentials) or _UNKNOWN


@contextmanager
def _explained(provider: str) -> Iterator[None]:
    try:
        yield
    except (BotoCoreError, ClientError):
        raise
    except Exception as error:
        why = f"{type(error).__name__}: {error}"
        raise CredentialRetrievalError(provider=provider, error_msg=why) from error


def _is_header(value: object) -> bool:
    return isinstance(value, str) and value.isascii() and value.isprintable() and " " not in value
