"""Generate realistic web-log rows, always the same ones. Pure.

Addresses and domains are those that RFC 5737, RFC 3849 and RFC 2606 reserve for documentation.
"""

from bisect import bisect
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import accumulate, count
from random import Random
from typing import TypeVar

T = TypeVar("T")

_SEED = 20170720
_START = datetime(2017, 7, 20)  # noqa: DTZ001  local time of the time zone in the rows
_LONGEST_PAUSE = 90.0
_TIME_ZONE = "GMT-0700"

_HOSTS = (
    *(f"192.0.2.{number}" for number in range(1, 21)),
    *(f"198.51.100.{number}" for number in range(7, 20)),
    "203.0.113.77",
    "2001:db8::5:17",
    "2001:db8:0:42::1",
    "crawl-17.bot.example",
    "proxy.office.example",
)
_METHODS = (("GET", 88), ("POST", 8), ("HEAD", 3), ("PUT", 1))
_CODES = (("200", 810), ("304", 80), ("302", 35), ("404", 40), ("403", 10), ("503", 5), ("500", 20))
_PATHS = (
    "/",
    "/robots.txt",
    "/favicon.ico",
    "/gallery/main.php?g2_itemId={n}&g2_page={m}",
    "/gallery/d/{n}-{m}/IMG_{n}.jpg",
    "/blog/archives/2017/07/{n}.html",
    "/search?q=table,+chair,+lamp&page={m}",
    "/catalog/items/{n},{m}?sort=price,asc",
    "/søk?q=blåbærsyltetøy&side={m}",
    "/商品/{n}?並び=価格,新着",
    "/каталог/товар-{n}",
    "/café/menü?größe={m}",
    '/api/v1/items?filter="name":"item {n}"',
    "/api/v1/items/{n}",
    "/login",
)
_USER_AGENTS = (
    (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/59.0.3071.115"
        " Safari/537.36"
    ),
    (
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_12_5) AppleWebKit/603.2.4 (KHTML, like Gecko) Version/10.1.1"
        " Safari/603.2.4"
    ),
    "Mozilla/5.0 (X11; Linux x86_64; rv:54.0) Gecko/20100101 Firefox/54.0",
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 10_3_2 like Mac OS X) AppleWebKit/603.2.4 (KHTML, like Gecko)"
        " Version/10.0 Mobile/14F89 Safari/602.1"
    ),
    'ExampleBot "Deep Crawl" 2.1 (+http://bot.example/about, http://bot.example/opt-out)',
    "curl/7.54.0",
    "",
)


def rows() -> Iterator[tuple[str, ...]]:
    """Return an endless sequence of rows, ten fields each, which is the same every time."""
    random = _Choice()
    moment = _START
    for request_id in count(1):
        moment += timedelta(seconds=random.below(_LONGEST_PAUSE))
        code = random.weighted(_CODES)
        yield (
            str(request_id),
            random.mostly_early(_HOSTS),
            f"{moment:%Y-%m-%d}",
            f"{moment:%H}",
            _TIME_ZONE,
            random.weighted(_METHODS),
            random.one_of(_PATHS).format(n=int(random.below(20_000)), m=int(random.below(40))),
            code,
            str(_size(code, random)),
            random.mostly_early(_USER_AGENTS),
        )


def _size(code: str, random: "_Choice") -> int:
    if code == "304":
        return 0
    # Cubed, so that most responses are small and some are large.
    largest = 900_000 if code == "200" else 6_000
    return int(random.below(1.0) ** 3 * largest) + 5


class _Choice:
    """Chooses with `random()` alone, the only generator of Python that is the same in every version."""

    def __init__(self) -> None:
        self._random = Random(_SEED).random  # noqa: S311  sample data

    def below(self, limit: float) -> float:
        return self._random() * limit

    def one_of(self, choices: Sequence[T]) -> T:
        return choices[int(self._random() * len(choices))]

    def mostly_early(self, choices: Sequence[T]) -> T:
        return choices[int(self._random() ** 2 * len(choices))]

    def weighted(self, choices: Sequence[tuple[T, int]]) -> T:
        sums = tuple(accumulate(weight for _, weight in choices))
        return choices[bisect(sums, self._random() * sums[-1])][0]
