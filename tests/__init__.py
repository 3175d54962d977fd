"""The tests. An assertion in what they share says what it compared, as one of their own does."""

import pytest

pytest.register_assert_rewrite("tests.support")
