"""ministack, started with the request id in its denials: AWS sends one with every response, ministack with all others.

It runs in ministack's own environment (.venv-stack), so it imports nothing of this project.
"""

import sys
from typing import Any

from ministack.app import main  # type: ignore[import-not-found]
from ministack.core import iam_actions  # type: ignore[import-not-found]

_denied = iam_actions.access_denied_response


def _denied_with_request_id(
    service: str, action: str, principal_arn: str, request_id: str, **options: Any
) -> tuple[int, dict[str, str], bytes]:
    status, headers, body = _denied(service, action, principal_arn, request_id, **options)
    return status, {"x-amzn-requestid": request_id, "x-amz-request-id": request_id, **headers}, body


if __name__ == "__main__":
    iam_actions.access_denied_response = _denied_with_request_id
    sys.exit(main())
