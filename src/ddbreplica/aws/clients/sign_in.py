"""Provide a session whose credentials raise no other errors than botocore's, whatever is wrong with a profile.

botocore itself lets any exception through if the configuration of a user is wrong: a `credential_process` that prints
no JSON, a missing token file, an invalid date. This may also happen when credentials are renewed during a command.

A profile with `mfa_serial` asks for an MFA code on the terminal. The question names the profile, since the source and
the replica may have one each.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from getpass import getpass
from pathlib import Path
from typing import Any

import botocore.session
from botocore.exceptions import BotoCoreError, ClientError, CredentialRetrievalError

from ddbreplica.aws.botocore_private import ask_mfa_code_with, provider_of
from ddbreplica.records.text import one_line

_UNKNOWN = "the AWS configuration"
_TERMINAL = "/dev/tty"


class MfaTerminalError(BotoCoreError):
    """A profile needs an MFA code, and no terminal is there to ask for it."""

    fmt = "{profile} needs an MFA code, and there is no terminal to ask for it."


class SignInSession(botocore.session.Session):
    """A session of botocore with such credentials."""

    def get_credentials(self, *args: Any, **kwargs: Any) -> Any:
        """Load the credentials, or return None if there are none. Raises only botocore's errors."""
        with _explained(_UNKNOWN):
            ask_mfa_code_with(self, self._mfa_code)
            found = super().get_credentials(*args, **kwargs)
        return None if found is None else _Credentials(found)

    def _mfa_code(self, question: str) -> str:
        """Ask for the code on the terminal, without showing what is typed. `question` is botocore's own."""
        profile = one_line(self._profile_of(question))
        if not _has_terminal():
            raise MfaTerminalError(profile=profile)
        return getpass(f"MFA code for {profile}: ")

    def _profile_of(self, question: str) -> str:
        """Return the profile with the MFA device in the question: the session's profile, or one that it refers to.

        A profile may assume a role with the credentials of another profile (`source_profile`), which may need a code
        as well.
        """
        profiles: Mapping[str, Mapping[str, str]] = self.full_config["profiles"]
        first: str = self.get_config_variable("profile") or "default"
        name, visited = first, set[str]()
        while name in profiles and name not in visited:
            serial = profiles[name].get("mfa_serial")
            if serial and f" {serial}:" in question:
                return f'profile "{name}" ({serial})'
            visited.add(name)
            name = profiles[name].get("source_profile", "")
        return f'profile "{first}"'


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


def _has_terminal() -> bool:
    try:
        with Path(_TERMINAL).open("rb"):
            return True
    except OSError:
        return False


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
