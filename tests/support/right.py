"""A valid response of AWS to each request that a command makes."""

import gzip
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

from tests.support.responses import Response, body_of, path_of

ACCOUNT = "arn:aws:dynamodb:us-east-1:123456789012:table"
FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:replicator"
NOW = datetime.now(UTC).replace(microsecond=0)
FILE = "s3://bucket/data/a.json.gz"
CONTENT = gzip.compress(b'{"Item": {"PK": {"S": "a"}}}\n', mtime=0)


def as_json(**content: Any) -> Response:
    return Response(json.dumps(content).encode())


def as_xml(text: str, **headers: str) -> Response:
    return Response(text.encode(), headers={"date": format_datetime(NOW, usegmt=True), **headers})


def table(request: Any) -> Response:
    name = body_of(request)["TableName"]
    return as_json(
        Table={
            "TableName": name,
            "TableArn": f"{ACCOUNT}/{name}",
            "TableStatus": "ACTIVE",
            "KeySchema": [{"AttributeName": "PK", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "PK", "AttributeType": "S"}],
            "CreationDateTime": 1.7e9,
            "ItemCount": 1,
            "TableSizeBytes": 1,
            "BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"},
            "ProvisionedThroughput": {"ReadCapacityUnits": 0, "WriteCapacityUnits": 0},
            "GlobalSecondaryIndexes": [{"IndexName": "GSI_1", "IndexStatus": "ACTIVE"}],
            "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
            "LatestStreamArn": f"{ACCOUNT}/{name}/stream/2026-11-01T00:00:00.000",
            "Replicas": [{"RegionName": "us-east-1"}, {"RegionName": "eu-west-1"}],
        }
    )


def items(request: Any) -> Response:
    ((name, asked),) = body_of(request)["RequestItems"].items()
    return as_json(Responses={name: [{**key, "v": {"N": "1"}} for key in asked["Keys"]]}, UnprocessedKeys={})


def metrics(request: Any) -> Response:
    value = {"StatusCode": "Complete", "Timestamps": [1.7e9], "Values": [5.0]}
    queries = body_of(request)["MetricDataQueries"]
    return as_json(MetricDataResults=[{"Id": query["Id"], "Label": "a metric", **value} for query in queries])


def mappings(_: Any) -> Response:
    mapping = {
        "UUID": "11-22",
        "EventSourceArn": f"{ACCOUNT}/orders/stream/2026-11-01T00:00:00.000",
        "FunctionArn": FUNCTION,
        "State": "Enabled",
        "StateTransitionReason": "USER_INITIATED",
        "LastProcessingResult": "OK",
        "LastModified": 1.7e9,
        "StartingPosition": "TRIM_HORIZON",
        "DestinationConfig": {"OnFailure": {"Destination": "arn:aws:s3:::given-up"}},
        "MetricsConfig": {"Metrics": ["EventCount"]},
        "FilterCriteria": {
            "Filters": [{"Pattern": json.dumps({"dynamodb": {"Keys": {"PK": {"S": ["a"]}}}})}]
        },
    }
    return as_json(EventSourceMappings=[mapping])


def content(request: Any) -> Response:
    """Return a file of an export, or one of its manifests."""
    summary = {
        "tableArn": f"{ACCOUNT}/orders",
        "exportTime": "2026-11-22T12:00:00Z",
        "outputFormat": "DYNAMODB_JSON",
        "itemCount": 1,
    }
    bodies = {
        "manifest-summary.json": json.dumps(summary).encode(),
        "manifest-files.json": json.dumps({"itemCount": 1, "dataFileS3Key": "data/a.json.gz"}).encode(),
    }
    return Response(bodies.get(path_of(request).rpartition("/")[2], CONTENT), headers={"etag": '"e"'})


RIGHT: Mapping[str, Callable[[Any], Response]] = {
    "DescribeTable": table,
    "DescribeTimeToLive": lambda _: as_json(
        TimeToLiveDescription={"TimeToLiveStatus": "ENABLED", "AttributeName": "expires"}
    ),
    "Scan": lambda _: as_json(Items=[{"PK": {"S": "a"}}], Count=1, ConsumedCapacity={"CapacityUnits": 1}),
    "BatchGetItem": items,
    "BatchWriteItem": lambda _: as_json(UnprocessedItems={}),
    "PutItem": lambda _: as_json(),
    "DeleteItem": lambda _: as_json(),
    "ListEventSourceMappings": mappings,
    "GetFunctionConfiguration": lambda _: as_json(
        FunctionName="replicator",
        FunctionArn=FUNCTION,
        Runtime="python3.13",
        Timeout=60,
        MemorySize=256,
        Environment={"Variables": {"REPLICA_TABLE_NAME": "orders_copy", "QUARANTINE_BUCKET": "kept"}},
        LoggingConfig={"LogGroup": "/log"},
    ),
    "ListTags": lambda _: as_json(Tags={"ddbreplica": "orders_copy"}),
    "GetMetricData": metrics,
    "ListMetrics": lambda _: as_json(Metrics=[{"Namespace": "AWS/Lambda"}]),
    "GetResources": lambda _: as_json(
        ResourceTagMappingList=[
            {"ResourceARN": FUNCTION, "Tags": [{"Key": "ddbreplica", "Value": "orders_copy"}]}
        ]
    ),
    "DescribeStacks": lambda _: as_xml(
        "<DescribeStacksResponse><DescribeStacksResult><Stacks><member><StackName>s</StackName><Outputs>"
        "<member><OutputKey>SourceTableName</OutputKey><OutputValue>orders</OutputValue></member>"
        "</Outputs></member></Stacks></DescribeStacksResult></DescribeStacksResponse>"
    ),
    "ListStreams": lambda _: as_json(
        Streams=[{"StreamArn": "arn:aws:dynamodb:us-east-1:123456789012:table/orders/stream/2026"}]
    ),
    "DescribeStream": lambda _: as_json(
        StreamDescription={
            "Shards": [{"ShardId": "shardId-00000001234567890123-0123456789ab", "SequenceNumberRange": {}}]
        }
    ),
    "GetShardIterator": lambda _: as_json(ShardIterator="iterator"),
    "GetRecords": lambda _: as_json(
        NextShardIterator="iterator",
        Records=[
            {
                "eventName": "INSERT",
                "dynamodb": {
                    "ApproximateCreationDateTime": 1.7e9,
                    "Keys": {"PK": {"S": "a"}},
                    "NewImage": {"PK": {"S": "a"}},
                    "SequenceNumber": "100",
                },
            }
        ],
    ),
    "ListObjectsV2": lambda _: as_xml(
        "<ListBucketResult><Name>kept</Name><KeyCount>1</KeyCount><IsTruncated>false</IsTruncated><Contents>"
        f"<Key>data/manifest-summary.json</Key><Size>1</Size><LastModified>{NOW:%Y-%m-%dT%H:%M:%S.000Z}</LastModified>"
        "</Contents></ListBucketResult>"
    ),
    "ListObjectVersions": lambda _: as_xml(
        "<ListVersionsResult><Name>kept</Name><IsTruncated>false</IsTruncated>"
        "<Version><Key>a</Key><VersionId>v</VersionId><IsLatest>true</IsLatest><Size>1</Size><ETag>e</ETag>"
        f"<LastModified>{NOW:%Y-%m-%dT%H:%M:%S.000Z}</LastModified></Version>"
        "<DeleteMarker><Key>b</Key><VersionId>v</VersionId><IsLatest>true</IsLatest>"
        f"<LastModified>{NOW:%Y-%m-%dT%H:%M:%S.000Z}</LastModified></DeleteMarker></ListVersionsResult>"
    ),
    "GetObject": content,
    "HeadBucket": lambda _: Response(b"", headers={"x-amz-bucket-region": "eu-west-1"}),
    "HeadObject": lambda _: Response(b"", headers={"etag": '"e"', "content-length": str(len(CONTENT))}),
    "CopyObject": lambda _: as_xml("<CopyObjectResult><ETag>e</ETag></CopyObjectResult>"),
    "DeleteObject": lambda _: Response(b"", status=204),
    "PutObject": lambda _: Response(b"", headers={"etag": '"e"'}),
}
