"""An option, an ARN, the environment and a profile → the one Region that every client and program is given.

botocore alone reads AWS_DEFAULT_REGION and never AWS_REGION, which Lambda and AWS's other SDKs read.
"""

import os
from typing import Final

import botocore.session

from ddbreplica.errors import TaskError

VARIABLES: Final = ("AWS_REGION", "AWS_DEFAULT_REGION")


def decide(*named: str | None, profile: str | None) -> str | None:
    """Return the first Region that is named, else that of AWS_REGION, AWS_DEFAULT_REGION or the profile, in this order.

    None if nothing names one. Raises TaskError if it is left to the two variables and they differ.
    """
    return next(filter(None, named), None) or _of_environment() or _of_profile(profile)


def variables(region: str) -> dict[str, str]:
    """Return the environment variables that give a program this Region, whichever of the two it reads."""
    return dict.fromkeys(VARIABLES, region)


def _of_environment() -> str | None:
    values = {name: value for name in VARIABLES if (value := os.environ.get(name))}
    if len(set(values.values())) > 1:
        raise TaskError(
            f"{' and '.join(f'{name} is {value}' for name, value in values.items())}.",
            hint="name the Region with --region, or unset one of the two variables.",
        )
    return next(iter(values.values()), None)


def _of_profile(profile: str | None) -> str | None:
    region: str | None = botocore.session.Session(profile=profile).get_scoped_config().get("region")
    return region
