"""KVMemory: which pages of a backend's KV memory are free, cached or used by running sequences."""

from collections import OrderedDict
from collections.abc import Sequence


class KVMemory:
    """Counts the users of every page. Each page is in one of three states:

    free: nobody uses it, and nothing in it is worth keeping. running: it has users. cached: it has none, but the
    prefix cache keeps it. free_pages + running_pages + cached_pages == num_pages, always.
    Every operation takes O(1) for each page.
    """

    def __init__(self, num_pages: int):
        self.num_pages = num_pages
        self._free = list(range(num_pages - 1, -1, -1))  # a stack: what was used last is in the processor's caches
        self._users = [0] * num_pages
        self._kept = bytearray(num_pages)  # 1: belongs to the prefix cache, whether used or not
        self._cached: OrderedDict[int, None] = OrderedDict()  # the longest unused first

    @property
    def free_pages(self) -> int:
        return len(self._free)

    @property
    def cached_pages(self) -> int:
        return len(self._cached)

    @property
    def running_pages(self) -> int:
        return self.num_pages - len(self._free) - len(self._cached)

    def available_beside(self, pages: Sequence[int]) -> int:
        """How many pages can be had, free or by eviction, by someone who holds `pages` first."""
        available = len(self._free) + len(self._cached)
        for page in pages:
            available -= page in self._cached
        return available

    def take(self, count: int) -> list[int]:
        """`count` free pages, which have one user now. There must be as many."""
        left = len(self._free) - count
        assert left >= 0
        pages = self._free[left:]
        del self._free[left:]
        for page in pages:
            self._users[page] = 1
        return pages

    def hold(self, pages: Sequence[int]) -> None:
        """Add a user to pages that are running or cached."""
        for page in pages:
            if not self._users[page]:
                del self._cached[page]
            self._users[page] += 1

    def release(self, pages: Sequence[int]) -> None:
        """Take a user from each of `pages`, the last one first; a page without users is cached if it is kept, or
        else free."""
        for page in reversed(pages):
            self._users[page] -= 1
            if self._users[page]:
                continue
            if self._kept[page]:
                self._cached[page] = None
            else:
                self._free.append(page)

    def keep(self, page: int) -> None:
        """Let a page that has users be cached, not free, when it has none."""
        assert self._users[page]
        self._kept[page] = 1

    def forget(self) -> None:
        """Free all cached pages, and let those that have users be free after them."""
        self._free += self._cached
        self._cached.clear()
        self._kept = bytearray(self.num_pages)

    def evict(self) -> int:
        """Free the cached page that has been unused for longest; which one it was."""
        page, _ = self._cached.popitem(last=False)
        self._kept[page] = 0
        self._free.append(page)
        return page
