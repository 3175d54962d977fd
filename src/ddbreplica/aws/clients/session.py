"""Create clients of AWS for a profile, one for each service and Region, which tables and threads share."""

from collections.abc import Callable, Hashable
from threading import Lock
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from ddbreplica.aws.clients.response import check_responses
from ddbreplica.aws.clients.sign_in import SignInSession
from ddbreplica.aws.endpoint import is_private
from ddbreplica.aws.hints import CONFIGURATION
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

# Few attempts, so that a wrong endpoint is reported soon. Code that has to wait longer repeats the request itself.
ASKING = Config(retries={"mode": "standard", "total_max_attempts": 3}, connect_timeout=5, read_timeout=10)


class _Place(TypedDict):
    region_name: str | None
    endpoint_url: str | None


class Clients:
    """The clients of one profile. Each client is created once, when a thread first asks for it.

    A Region of None is that of the profile or the environment. Raises botocore's errors, and TaskError for an
    invalid endpoint.
    """

    def __init__(
        self,
        profile: str | None,
        region: str | None,
        endpoint_url: str | None,
        *,
        session: boto3.Session | None = None,
    ) -> None:
        """Send no request yet. For an argument of None, boto3 reads the environment and its configuration files.

        A `session` has other credentials than those of the profile.
        """
        self._session = session or boto3.Session(
            profile_name=profile, region_name=region, botocore_session=SignInSession()
        )
        self._endpoint_url = endpoint_url
        self._made: dict[Hashable, Any] = {}
        self._lock = Lock()

    @property
    def region(self) -> str | None:
        """The Region of the profile or the environment."""
        return self._session.region_name

    def dynamodb(self, region: str | None, config: Config = ASKING) -> "DynamoDBClient":
        """Return a client for tables."""
        place = self._place(region)
        return self._once(
            ("dynamodb", region, config), lambda: self._session.client("dynamodb", **place, config=config)
        )

    def streams(self, region: str | None, config: Config = ASKING) -> "DynamoDBStreamsClient":
        """Return a client for the streams of tables."""
        place = self._place(region)
        return self._once(
            ("streams", region, config),
            lambda: self._session.client("dynamodbstreams", **place, config=config),
        )

    def metrics(self, region: str | None) -> "CloudWatchClient":
        """Return a client for CloudWatch metrics."""
        place = self._place(region)
        return self._once(
            ("metrics", region), lambda: self._session.client("cloudwatch", **place, config=ASKING)
        )

    def functions(self, region: str | None, config: Config = ASKING) -> "LambdaClient":
        """Return a client for functions and their event source mappings."""
        place = self._place(region)
        return self._once(
            ("functions", region, config), lambda: self._session.client("lambda", **place, config=config)
        )

    def buckets(self, region: str | None) -> "S3Client":
        """Return a client for buckets."""
        place = self._place(region)
        return self._once(("buckets", region), lambda: self._session.client("s3", **place, config=ASKING))

    def stacks(self) -> "CloudFormationClient":
        """Return a client for CloudFormation stacks."""
        place = self._place(None)
        return self._once("stacks", lambda: self._session.client("cloudformation", **place, config=ASKING))

    def machines(self, region: str | None) -> Any:
        """Return a client for state machines of AWS Step Functions, and their executions."""
        place = self._place(region)
        return self._once(
            ("machines", region), lambda: self._session.client("stepfunctions", **place, config=ASKING)
        )

    def secrets(self, region: str | None) -> Any:
        """Return a client for secrets of AWS Secrets Manager."""
        place = self._place(region)
        return self._once(
            ("secrets", region), lambda: self._session.client("secretsmanager", **place, config=ASKING)
        )

    def schedules(self, region: str | None) -> Any:
        """Return a client for the schedules of Amazon EventBridge Scheduler."""
        place = self._place(region)
        return self._once(
            ("schedules", region), lambda: self._session.client("scheduler", **place, config=ASKING)
        )

    def tags(self) -> "ResourceGroupsTaggingAPIClient":
        """Return a client for resources by tag."""
        place = self._place(None)
        return self._once(
            "tags", lambda: self._session.client("resourcegroupstaggingapi", **place, config=ASKING)
        )

    def _place(self, region: str | None) -> _Place:
        return {"region_name": region, "endpoint_url": self._endpoint_url}

    def _once(self, what: Hashable, make: Callable[[], T]) -> T:
        # A boto3 session may create only one client at a time.
        with self._lock:
            if what not in self._made:
                self._made[what] = _checked(make)
            made: T = self._made[what]
            return made


def _checked(make: Callable[[], Any]) -> Any:
    try:
        client = make()
        url = client.meta.endpoint_url
        _ = urlsplit(url).port  # raises ValueError unless it is a valid port
    except BotoCoreError:  # some of them are ValueErrors too
        raise
    except ValueError as error:
        hint = "give --endpoint-url (or AWS_ENDPOINT_URL) like http://localhost:8000."
        raise TaskError(f"{error}.", hint=hint) from error
    except Exception as error:
        fact = f"the AWS configuration cannot be used: {type(error).__name__}: {error}."
        raise TaskError(fact, hint=CONFIGURATION) from error
    if not is_private(url):
        raise TaskError(
            f"the endpoint {url} is not encrypted: others on the network could read the items.",
            hint="give an https:// URL; http:// is allowed for a local host only, such as http://localhost:8000.",
        )
    # botocore reads a gateway's page as an empty response: without the check, a bucket would look empty.
    check_responses(client)
    return client
