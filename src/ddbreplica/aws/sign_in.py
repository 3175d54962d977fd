"""A session whose credentials either can sign a request or raise an error of botocore's, whatever a profile says.

botocore lets through whatever stumbles over a user's configuration: a `credential_process` that prints no JSON, a token
file that is missing, a date that cannot be read. It does so again whenever credentials are renewed in the middle of a
command.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import botocore.session
from botocore.exceptions import BotoCoreError, ClientError, CredentialRetrievalError

from ddbreplica.aws.botocore_private import provider_of

_UNKNOWN = "the AWS configuration"


class SignInSession(botocore.session.Session):
    """botocore's session, with such credentials."""

    def get_credentials(self, *args: Any, **kwargs: Any) -> Any:
        """Load the credentials; None where there are none. Raises botocore's errors only."""
        with _explained(_UNKNOWN):
            found = super().get_credentials(*args, **kwargs)
        return None if found is None else _Credentials(found)


class _Credentials:
    """botocore's credentials, all of whose methods raise botocore's errors only."""

    def __init__(self, credentials: Any) -> None:
        self._credentials = credentials

    def __getattr__(self, name: str) -> Any:
        with _explained(self._provider):
            value = getattr(self._credentials, name)
        return self._guarded(value) if callable(value) else value

    def get_frozen_credentials(self) -> Any:
        """The credentials as they are now, renewed if need be; a request's headers can hold them."""
        with _explained(self._provider):
            frozen = self._credentials.get_frozen_credentials()
        if not all(map(_is_header, (frozen.access_key, frozen.secret_key, frozen.token or "x"))):
            raise CredentialRetrievalError(
                provider=self._provider,
                error_msg="a part of them is no text, or has a character that no header can hold",
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
