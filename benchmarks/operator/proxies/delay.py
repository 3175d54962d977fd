"""A proxy that adds a latency to each response, as a network does. It does not look into what it passes on."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Thread
from typing import TypeAlias
from urllib.parse import urlsplit

_CHUNK = 2**16

_Late: TypeAlias = "asyncio.Queue[tuple[float, bytes]]"
"""What the service sent, and when to pass it on."""


@contextmanager
def delayed(target: str, seconds: float) -> Iterator[str]:
    """Yield the URL of a proxy of `target`, which passes on each byte of a response so many seconds later."""
    loop = asyncio.new_event_loop()
    relay = _Relay(target, seconds)
    server = loop.run_until_complete(asyncio.start_server(relay.connect, "127.0.0.1", 0))
    thread = Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        server.close()
        loop.run_until_complete(_cancelled())
        loop.close()


class _Relay:
    """The connections to one service."""

    def __init__(self, target: str, seconds: float) -> None:
        self._target = urlsplit(target)
        self._seconds = seconds

    async def connect(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        """Pass on what a client and the service send, until one of them ends the connection."""
        service, to_service = await asyncio.open_connection(self._target.hostname, self._target.port)
        late: _Late = asyncio.Queue()
        ways = (_passed_on(client, to_service), self._received(service, late), _sent(late, to_client))
        tasks = [asyncio.ensure_future(way) for way in ways]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            for writer in (to_client, to_service):
                writer.close()

    async def _received(self, service: asyncio.StreamReader, late: _Late) -> None:
        # All bytes that have arrived become due after the same time, however many there are before them.
        loop = asyncio.get_running_loop()
        while content := await service.read(_CHUNK):
            late.put_nowait((loop.time() + self._seconds, content))
        await asyncio.sleep(self._seconds)


async def _passed_on(sender: asyncio.StreamReader, receiver: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while content := await sender.read(_CHUNK):
            receiver.write(content)
            await receiver.drain()


async def _sent(late: _Late, client: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while True:
            due, content = await late.get()
            await asyncio.sleep(due - asyncio.get_running_loop().time())
            client.write(content)
            await client.drain()


async def _cancelled() -> None:
    """Cancel all connections, and wait until they have ended."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
