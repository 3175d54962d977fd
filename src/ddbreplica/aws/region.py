"""Decide the Region for every client and program from an option, an ARN, the environment and a profile.

botocore reads AWS_DEFAULT_REGION and not AWS_REGION, which Lambda and AWS's other SDKs read.
"""

import os
from typing import Final

import botocore.session

from ddbreplica.errors import TaskError

VARIABLES: Final = ("AWS_REGION", "AWS_DEFAULT_REGION")


def decide(*named: str | None, profile: str | None) -> str | None:
    """Return the first Region that is given, or else that of AWS_REGION, AWS_DEFAULT_REGION or the profile, in order.

    Returns None if there is none. Raises TaskError if no Region is given and the two variables differ.
    """
    return next(filter(None, named), None) or _of_environment() or _of_profile(profile)


def variables(region: str) -> dict[str, str]:
    """Return both environment variables with this Region, for a program that reads either."""
    return dict.fromkeys(VARIABLES, region)


def _of_environment() -> str | None:
    values = {name: value for name in VARIABLES if (value := os.environ.get(name))}
    # Neither is preferred: a table of the same name in the other Region would be read, or even repaired.
    if len(set(values.values())) > 1:
        raise TaskError(
            f"{' and '.join(f'{name} is {value}' for name, value in values.items())}.",
            hint="give the Region with --region, or unset one of the two variables.",
        )
    return next(iter(values.values()), None)


def _of_profile(profile: str | None) -> str | None:
    region: str | None = botocore.session.Session(profile=profile).get_scoped_config().get("region")
    return region
