"""objects: each object is written once, whatever becomes of the responses."""

import json
from itertools import product

import pytest

from ddbreplica.errors import TaskError
from ddbreplica.jobs import objects
from ddbreplica.jobs.objects import JobObjects, document_bytes, lines_of
from tests.support.memory_store import Fate, MemoryStore

TWO = list(product(Fate, repeat=2))


def of_job(store: MemoryStore) -> JobObjects:
    return JobObjects(store, "stack", "job-1")


def test_the_names_of_a_jobs_objects() -> None:
    of = of_job(MemoryStore())

    assert of.name("plan.json") == "jobs/stack/job-1/plan.json"
    assert of.state("segment", 7) == "jobs/stack/job-1/states/segment-00007.json"


@pytest.mark.parametrize("fates", TWO)
def test_an_object_is_created_once_whatever_becomes_of_the_responses(fates: tuple[Fate, ...]) -> None:
    store = MemoryStore(fates)

    assert of_job(store).create("plan.json", b"one") == b"one"
    store.land()
    assert of_job(store).create("plan.json", b"two") == b"one"
    assert store.objects == {"jobs/stack/job-1/plan.json": b"one"}


def test_an_object_that_another_worker_creates_meanwhile_is_returned() -> None:
    store = MemoryStore([Fate.RACE])
    store.before_write = lambda: store.objects.update({"jobs/stack/job-1/plan.json": b"theirs"})

    assert of_job(store).create("plan.json", b"ours") == b"theirs"


@pytest.mark.parametrize("fate", [Fate.UNSENT, Fate.RACE])
def test_an_object_that_cannot_be_created_is_an_error(fate: Fate) -> None:
    with pytest.raises(
        TaskError, match=r"plan\.json cannot be written: S3 did not confirm any of 4 attempts"
    ):
        of_job(MemoryStore([fate] * 4)).create("plan.json", b"one")
    with pytest.raises(TaskError, match=r"parts/.* cannot be written"):
        of_job(MemoryStore([fate] * 4)).add([b"1\n"])


@pytest.mark.parametrize("fates", TWO)
def test_lines_are_read_as_they_were_added(fates: tuple[Fate, ...]) -> None:
    store = MemoryStore(fates)
    names = of_job(store).add(lines_of([{"é": "\n"}, 5]))

    assert [*of_job(store).lines(names)] == [{"é": "\n"}, 5]
    assert len(store.objects) == 1


def test_no_lines_are_no_object() -> None:
    store = MemoryStore()

    assert of_job(store).add([]) == []
    assert not store.objects


def test_many_lines_are_several_objects_of_a_limited_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "PART_BYTES", 5)
    store = MemoryStore()
    names = of_job(store).add(lines_of(range(8)))

    assert [*of_job(store).lines(names)] == list(range(8))
    assert [len(body) for body in store.objects.values()] == [6, 6, 4]
    assert len(set(names)) == 3


def test_an_object_that_a_state_lists_and_that_is_gone_is_an_error() -> None:
    with pytest.raises(
        TaskError, match=r"jobs/stack/job-1/parts/x\.jsonl does not exist, although a state lists it"
    ):
        list(of_job(MemoryStore()).lines(["parts/x.jsonl"]))


def test_a_document_has_one_form() -> None:
    assert document_bytes({"b": 1, "a": [2]}) == document_bytes({"a": [2], "b": 1}) == b'{"a":[2],"b":1}'
    assert json.loads(document_bytes({"a": "é"})) == {"a": "é"}
