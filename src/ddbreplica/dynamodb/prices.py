"""The prices of DynamoDB's capacity units. A test compares them with the page on costs."""

from typing import Final

REGION: Final = "us-east-1"
AS_OF: Final = "November 2026"

# US dollars, on-demand capacity: https://aws.amazon.com/dynamodb/pricing/on-demand/
READ_UNIT_PRICE: Final = 0.125e-6
WRITE_UNIT_PRICE: Final = 0.625e-6
