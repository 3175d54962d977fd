"""store: moto enforces the conditions of writes as S3 does."""

from collections.abc import Iterator

import boto3
import pytest
from moto import mock_aws

from ddbreplica.bucket.bucket import Bucket
from ddbreplica.bucket.bucket_store import BucketStore
from ddbreplica.bucket.store import Store
from tests.support.store_contract import StoreContract

BUCKET = "quarantine"


@pytest.mark.parametrize("versioned", [False, True], ids=["without versions", "with versions"])
class TestTheBucket(StoreContract):
    @pytest.fixture(autouse=True)
    def _bucket(self, versioned: bool) -> Iterator[None]:
        with mock_aws():
            self.client = boto3.client("s3")
            self.client.create_bucket(Bucket=BUCKET)
            if versioned:
                self.client.put_bucket_versioning(
                    Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"}
                )
            yield

    def store(self) -> Store:
        return BucketStore(Bucket(self.client, BUCKET, option="--stack-name"))

    def remove(self, name: str) -> None:
        self.client.delete_object(Bucket=BUCKET, Key=name)
