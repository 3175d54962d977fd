"""names: each attempt of a job has its own name, from which the job is known."""

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from ddbreplica.jobs.control import names

NOW = datetime(2026, 11, 29, 21, 30, 5, tzinfo=UTC)
JOBS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,72}", fullmatch=True)


def test_a_new_job_is_named_after_its_work_and_the_time() -> None:
    assert names.new_job("verify", now=NOW, token="1a2b3c") == "verify-20261129T213005Z-1a2b3c"


def test_the_time_is_in_utc_and_jobs_sort_by_it() -> None:
    east = NOW.astimezone(timezone(timedelta(hours=9)))

    assert names.new_job("verify", now=east, token="a") == names.new_job("verify", now=NOW, token="a")
    assert names.new_job("verify", now=NOW, token="f") < names.new_job(
        "verify", now=NOW + timedelta(seconds=1), token="0"
    )


@given(job=JOBS, number=st.integers(1, 999_999))
def test_the_job_is_known_from_the_name_of_an_attempt(job: str, number: int) -> None:
    attempt = names.attempt(job, number)

    assert names.job_of(attempt) == job
    assert len(attempt) <= 80


def test_an_execution_of_a_schedule_is_its_own_job() -> None:
    assert names.job_of("8c4b2f6e-1d2c-4c7e-9f51-0a1b2c3d4e5f") == "8c4b2f6e-1d2c-4c7e-9f51-0a1b2c3d4e5f"


def test_a_name_that_leaves_its_folder_is_no_job() -> None:
    assert [names.is_job(name) for name in ("a", "a/b", "..", "", "a" * 73, "a" * 74)] == [
        *(True, False, False, False),
        *(True, False),
    ]
