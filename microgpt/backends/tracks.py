"""Tracks: samples that one slot makes side by side, told of as if it had made them one after another."""

from collections.abc import Sequence


class Tracks:
    """A slot's samples on several tracks, each of which makes some neighbours of them, one after another, in a place of
    its own among the backend's rows. For prompts of one token, `token_id`.

    What is told comes in the order of samples; what a track has made before those ahead of it have ended is held.
    places, token_ids, positions: of the tracks that are not done, in order, and what each is fed next. is_new: whether
    nothing was made yet.
    """

    def __init__(self, places: range, token_id: int):
        self.places: Sequence[int] = places
        self.token_ids = [token_id] * len(places)
        self.positions = [0] * len(places)
        self.is_new = True
        self._token_id = token_id
        self._first = places.start
        self._held: list[tuple[list[int], list[int]]] = []  # of each track that was not told of to its end
        self._num_told = 0  # of the others

    def take(self, sampled: Sequence[tuple[list[int], list[int], int]]) -> tuple[list[int], list[int]]:
        """(token ids, ends) to tell of, given what came of each of `places`: token ids, where samples ended among them,
        and whether the track is done. The slot's very last end is not among those told."""
        if self.is_new:
            self._held = [([], []) for _ in self.places]
            self.is_new = False
        held, going = self._held, []
        for place, before, (ids, ends, is_done) in zip(self.places, self.positions, sampled, strict=True):
            held_ids, held_ends = held[place - self._first - self._num_told]
            held_ends += [len(held_ids) + end for end in ends]
            held_ids += ids
            if not is_done:
                position = len(ids) - ends[-1] if ends else before + len(ids)
                going.append((place, ids[-1] if position else self._token_id, position))
        self.places, self.token_ids, self.positions = map(list, zip(*going, strict=True)) if going else ([], [], [])
        # Of the first track that is not done, what it has made so far can be told, too.
        num_done = self.places[0] - self._first - self._num_told if going else len(held)
        told_ids: list[int] = []
        told_ends: list[int] = []
        for ids, ends in held[: num_done + 1]:
            told_ends += [len(told_ids) + end for end in ends]
            told_ids += ids
        del held[:num_done]
        self._num_told += num_done
        if going:
            held[0] = [], []
        else:
            told_ends.pop()
        return told_ids, told_ends
