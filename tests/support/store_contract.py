"""The tests that every Store passes: the one in memory, and the one in a bucket."""

from abc import ABC, abstractmethod

from ddbreplica.bucket.store import Conflict, Store, Stored

NAME = "jobs/stack/job/states/segment-00000.json"


class StoreContract(ABC):
    """The suite. Each implementation has a subclass."""

    @abstractmethod
    def store(self) -> Store:
        """Return a store without objects."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Remove an object of the store."""

    def test_an_object_that_does_not_exist(self) -> None:
        assert self.store().read(NAME) is None

    def test_an_object_is_created_once(self) -> None:
        store = self.store()
        etag = store.create(NAME, b"1")

        assert isinstance(etag, str)
        assert store.read(NAME) == Stored(b"1", etag)
        assert store.create(NAME, b"2") is Conflict.CHANGED
        assert store.create(NAME, b"1") is Conflict.CHANGED
        assert store.read(NAME) == Stored(b"1", etag)

    def test_an_object_is_replaced_by_whoever_has_read_it(self) -> None:
        store = self.store()
        first = store.create(NAME, b"1")
        assert isinstance(first, str)

        second = store.replace(NAME, b"2", etag=first)

        assert isinstance(second, str)
        assert store.read(NAME) == Stored(b"2", second)
        assert store.replace(NAME, b"3", etag=first) is Conflict.CHANGED
        assert store.read(NAME) == Stored(b"2", second)

    def test_an_object_that_was_removed_cannot_be_replaced(self) -> None:
        store = self.store()
        etag = store.create(NAME, b"1")
        assert isinstance(etag, str)
        self.remove(NAME)

        assert store.replace(NAME, b"2", etag=etag) is Conflict.GONE
        assert store.read(NAME) is None
        assert isinstance(store.create(NAME, b"3"), str)

    def test_the_same_content_has_its_earlier_etag_again(self) -> None:
        store = self.store()
        first = store.create(NAME, b"1")
        assert isinstance(first, str)
        second = store.replace(NAME, b"2", etag=first)
        assert isinstance(second, str)

        assert store.replace(NAME, b"1", etag=second) == first
        assert isinstance(store.replace(NAME, b"3", etag=first), str)
