"""PrefixCache: finds the pages of KV memory that hold the beginning of a prompt.

A radix tree over token ids whose every edge is one page: PAGE_TOKENS ids. The page is what is shared, locked and
evicted, so longer edges would be split and counted page by page all the same; finding 1000 cached tokens takes 63
dictionary look-ups.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from microgpt.backends import PAGE_TOKENS
from microgpt.engine.kv_memory import KVMemory

_Edge = tuple[int | str, ...]  # the ids of one page, after the key where there is one and the page is the first


@dataclass(slots=True, eq=False)
class _Node:
    """A page that holds the K and V of `edge` after everything on the way from the root."""

    page: int
    edge: _Edge
    parent: "_Node | None"
    children: "dict[_Edge, _Node]" = field(default_factory=dict)


class PrefixCache:
    """The pages that are kept for reuse, found by a key, the tokens in them and those before them.

    Sequences of different keys share nothing: the key is part of the first edge.
    Who uses a page of the tree also uses all pages on the way to it, and releases deeper ones first. So a node's
    children are always unused for at least as long as itself: eviction in the order of last use, which is
    the order of KVMemory, takes leaves only.
    """

    def __init__(self, memory: KVMemory):
        self._memory = memory
        self._root = _Node(-1, (), None)
        self._nodes: dict[int, _Node] = {}  # by page

    def match(self, token_ids: Sequence[int], most: int, key: str = "") -> list[int]:
        """The pages of the longest beginning of `token_ids` in the tree, at most `most` and no more than the ids fill.
        Changes nothing: hold them at once, or the next eviction may take them."""
        pages, node = [], self._root
        for i in range(most):
            child = node.children.get(_edge(token_ids, i, key))
            if child is None:
                break
            pages.append(child.page)
            node = child
        return pages

    def insert(self, token_ids: Sequence[int], pages: Sequence[int], key: str = "") -> list[int]:
        """Keep `pages`, which have users and hold `token_ids`, PAGE_TOKENS each.

        Returns the pages of these tokens in the tree: `pages` but where others hold the same tokens already. The caller
        must hold them for as long as it uses any of its own.
        """
        path, node = [], self._root
        for i, page in enumerate(pages):
            edge = _edge(token_ids, i, key)
            child = node.children.get(edge)
            if child is None:
                child = node.children[edge] = self._nodes[page] = _Node(page, edge, node)
                self._memory.keep(page)
            path.append(child.page)
            node = child
        return path

    def make_room(self, count: int) -> None:
        """Evict until `count` pages are free. Free and cached pages must be as many."""
        while self._memory.free_pages < count:
            node = self._nodes.pop(self._memory.evict())
            assert not node.children
            assert node.parent is not None
            del node.parent.children[node.edge]

    def clear(self) -> None:
        """Forget everything. Pages that have users are theirs until they release them, and then free."""
        self._memory.forget()
        self._root = _Node(-1, (), None)
        self._nodes = {}


def _edge(token_ids: Sequence[int], i: int, key: str) -> _Edge:
    """What leads to page i of a sequence."""
    ids = tuple(token_ids[i * PAGE_TOKENS : (i + 1) * PAGE_TOKENS])
    return (key, *ids) if key and i == 0 else ids
