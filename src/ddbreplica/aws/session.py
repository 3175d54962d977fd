"""A profile → clients of AWS, one a service and Region, for any number of tables and threads."""

from collections.abc import Callable, Hashable
from threading import Lock
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from ddbreplica.aws.endpoint import is_private
from ddbreplica.aws.hints import CONFIGURATION
from ddbreplica.aws.response import check_responses
from ddbreplica.aws.sign_in import SignInSession
from ddbreplica.errors import TaskError

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodbstreams import DynamoDBStreamsClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_resourcegroupstaggingapi import ResourceGroupsTaggingAPIClient
    from mypy_boto3_s3 import S3Client

T = TypeVar("T")

# Few attempts, so that a wrong endpoint is told at once; what has to wait longer waits by itself.
ASKING = Config(retries={"mode": "standard", "total_max_attempts": 3}, connect_timeout=5, read_timeout=10)


class _Place(TypedDict):
    region_name: str | None
    endpoint_url: str | None


class Clients:
    """What a profile signs in to. Each client is made once, when it is first asked for, by whichever thread.

    A Region of None is that of the profile or the environment. Raises botocore's errors, and TaskError for an
    endpoint that is none.
    """

    def __init__(self, profile: str | None, region: str | None, endpoint_url: str | None) -> None:
        """Sign in to nothing yet; where these are silent, boto3's own environment and files decide."""
        self._session = boto3.Session(
            profile_name=profile, region_name=region, botocore_session=SignInSession()
        )
        self._endpoint_url = endpoint_url
        self._made: dict[Hashable, Any] = {}
        self._lock = Lock()

    @property
    def region(self) -> str | None:
        """The Region that the profile or the environment names."""
        return self._session.region_name

    def dynamodb(self, region: str | None, config: Config = ASKING) -> "DynamoDBClient":
        """For tables."""
        place = self._place(region)
        return self._once(
            ("dynamodb", region, config), lambda: self._session.client("dynamodb", **place, config=config)
        )

    def streams(self, region: str | None, config: Config = ASKING) -> "DynamoDBStreamsClient":
        """For tables' streams."""
        place = self._place(region)
        return self._once(
            ("streams", region, config),
            lambda: self._session.client("dynamodbstreams", **place, config=config),
        )

    def metrics(self, region: str | None) -> "CloudWatchClient":
        """For what CloudWatch has counted."""
        place = self._place(region)
        return self._once(
            ("metrics", region), lambda: self._session.client("cloudwatch", **place, config=ASKING)
        )

    def functions(self, region: str | None) -> "LambdaClient":
        """For functions and their mappings."""
        place = self._place(region)
        return self._once(
            ("functions", region), lambda: self._session.client("lambda", **place, config=ASKING)
        )

    def buckets(self, region: str | None) -> "S3Client":
        """For buckets."""
        place = self._place(region)
        return self._once(("buckets", region), lambda: self._session.client("s3", **place, config=ASKING))

    def stacks(self) -> "CloudFormationClient":
        """For CloudFormation's stacks."""
        place = self._place(None)
        return self._once("stacks", lambda: self._session.client("cloudformation", **place, config=ASKING))

    def tags(self) -> "ResourceGroupsTaggingAPIClient":
        """For what has a tag."""
        place = self._place(None)
        return self._once(
            "tags", lambda: self._session.client("resourcegroupstaggingapi", **place, config=ASKING)
        )

    def _place(self, region: str | None) -> _Place:
        return {"region_name": region, "endpoint_url": self._endpoint_url}

    def _once(self, what: Hashable, make: Callable[[], T]) -> T:
        # A session may make one client at a time only.
        with self._lock:
            if what not in self._made:
                self._made[what] = _checked(make)
            made: T = self._made[what]
            return made


def _checked(make: Callable[[], Any]) -> Any:
    try:
        client = make()
        url = client.meta.endpoint_url
        _ = urlsplit(url).port  # raises ValueError unless it is a number
    except BotoCoreError:  # some of these are ValueErrors too
        raise
    except ValueError as error:
        hint = "give --endpoint-url (or AWS_ENDPOINT_URL) like http://localhost:8000."
        raise TaskError(f"{error}.", hint=hint) from error
    except Exception as error:
        fact = f"the AWS configuration cannot be used: {type(error).__name__}: {error}."
        raise TaskError(fact, hint=CONFIGURATION) from error
    if not is_private(url):
        raise TaskError(
            f"the endpoint {url} is not encrypted: whoever is on the network could read the items.",
            hint="give an https:// URL; http:// is for a local host, such as http://localhost:8000.",
        )
    check_responses(client)
    return client
