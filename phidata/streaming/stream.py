"""`phidata.stream`: the rows of data sets of any size, in an order that any process can take up anywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count, islice
from pathlib import Path
from typing import Any, Generic, NoReturn, TypeVar

import numpy as np

from phidata.errors import UsageError
from phidata.streaming.permutation import Numbers
from phidata.streaming.plan import Recipe, Stop
from phidata.streaming.reading import Reading, Uneven
from phidata.streaming.request import check, check_place, shares_of
from phidata.streaming.sample import Sample
from phidata.streaming.sources import CacheRoom, Source, find_sources, opened
from phidata.streaming.state import Place, State, place_in, state_at
from phidata.streaming.torch_workers import SharedPlace, Worker, let_torch_iterate, this_worker

T = TypeVar("T")
U = TypeVar("U")

BLOCK = 1024  # samples whose rows are found at once

Paths = str | Path | Sequence[str | Path]


def stream(
    paths: Paths,
    split: str | None = None,
    *,
    seed: int = 0,
    epoch: int = 0,
    rank: int = 0,
    world_size: int = 1,
    position: int = 0,
    mix: Mapping[str, float] | None = None,
    stop: Stop = "all",
    shuffle: bool = True,
    window: int | None = None,
    endless: bool = False,
    uneven: Uneven = "keep",
    cache: str | Path | None = None,
    cache_bytes: int | str | None = None,
) -> Stream[Sample]:
    """Open data folders, or files of them, for training: this rank's part of an epoch, from any position on.

    The order is a function of the data, `seed`, `epoch`, `mix`, `stop`, `shuffle` and `window` alone. `position` counts
    the samples of the epoch that all ranks together have had before; rank r of n gets every n-th sample from there.

    Several folders are one set of rows, of which each comes once an epoch. With `mix`, a weight for each folder by its
    name (the last part of its path) or its path, they alternate: at every position each has its share of the samples
    before within one, and shares are kept to four digits. A folder that has given all of its rows begins anew in
    another order until all have (`stop` all), or the epoch ends where the first would (`stop` first).

    `shuffle` False: the rows as they stand. `window`: so many shards are shuffled together, one window after the other,
    so that no more are read at a time; without it every row can come at any place. `endless`: the next epochs follow
    without an end. `uneven`: what comes at the end of an epoch where its rows do not make a whole batch for each rank:
    keep, drop or fill (from the next epoch). `cache` and `cache_bytes`: where copies of the shards of remote folders
    are kept, as for `phidata.load`; the shards of a window have to fit.

    Nothing but manifests is read until the first sample. Raises UsageError for a request that can not be carried out,
    and what `phidata.load` raises.
    """
    room = CacheRoom(folder=cache, num_bytes=cache_bytes)
    sources = find_sources([paths] if isinstance(paths, str | Path) else list(paths), split, room)
    recipe = Recipe(
        sources=sources,
        seed=seed,
        shuffle=shuffle,
        window=window,
        shares=None if mix is None else shares_of(sources, mix),
        stop=stop,
    )
    reading = Reading(rank=rank, world_size=world_size, endless=endless, uneven=uneven)
    return Stream(recipe, reading, Place(epoch=epoch, position=position), _only)


class Stream(Generic[T]):
    """The samples of one rank, in order; made by `phidata.stream`.

    An iteration gives what is left of the epoch (or never ends), and one that has come to the end is followed by the
    next epoch's. In a torch DataLoader it is iterable data: with `batch_size=None` it comes in the same order for any
    number of workers, also in batches; there `set_epoch` has to say which epoch is next.
    """

    def __init__(self, recipe: Recipe, reading: Reading, start: Place, make: Callable[[list[Sample]], T]) -> None:
        self._recipe, self._reading, self._make = recipe, reading, make
        self._plan = recipe.plan()
        check(recipe, reading, self._plan.num_samples)
        check_place(start, self._plan.num_samples)
        self._shared = SharedPlace(start)
        self._start, self._taken, self._num_workers, self._ended = start, 0, 1, False
        self._times_put = self._shared.times
        let_torch_iterate(Stream)

    @property
    def sources(self) -> tuple[Source, ...]:
        """The data sets, with their names and numbers of rows."""
        return self._recipe.sources

    @property
    def shares(self) -> dict[str, float] | None:
        """Of mixed data sets the share that each has, by name."""
        shares = self._recipe.shares
        if shares is None:
            return None
        return {source.name: share / sum(shares) for source, share in zip(self.sources, shares, strict=True)}

    @property
    def num_samples(self) -> int:
        """The samples of a whole epoch, of all ranks together."""
        return self._plan.num_samples

    @property
    def epoch(self) -> int:
        """The epoch in which the stream stands."""
        return self._place(self._taken).epoch

    def __len__(self) -> int:
        """What an iteration from where the stream was put gives this rank. Raises TypeError for one without end."""
        num_batches = self._reading.num_batches(self._rest)
        if num_batches is None:
            raise TypeError("an endless stream has no length")
        return num_batches

    def __iter__(self) -> Iterator[T]:
        worker = this_worker()
        if self._times_put != self._shared.times:  # by the process that this worker was made from
            self._start, self._times_put = self._shared.place, self._shared.times
        elif self._ended:
            self._start = Place(epoch=self._start.epoch + 1, position=0)
        self._taken, self._ended = 0, False
        self._num_workers = 1 if worker is None else worker.total
        self._shared.note_reader(is_worker=worker is not None)
        return self._iterate(worker or Worker(0, 1))

    def __getitem__(self, index: int) -> NoReturn:
        """What a DataLoader tries that was told nothing: its library was imported after the stream was made."""
        raise TypeError("a stream is read in its order; for a torch DataLoader, import torch before phidata.stream(…)")

    def map(self, function: Callable[[T], U]) -> Stream[U]:
        """The same stream with a function applied to each sample, or batch, by the process that reads it: of a
        DataLoader with workers one of them."""
        return Stream(self._recipe, self._reading, self._start, _Mapped(self._make, function))

    def batches(self, batch_size: int) -> Stream[list[T]]:
        """The same samples in lists of `batch_size`, the last of an epoch perhaps shorter. A DataLoader of them
        has `batch_size=None`."""
        if self._reading.batch_size != 1:
            raise UsageError("this stream comes in batches already; make them of the one that phidata.stream returned")
        if batch_size < 1:
            raise UsageError(f"a batch of {batch_size} samples can not be made; give 1 or more")
        reading = replace(self._reading, batch_size=batch_size)
        return Stream(self._recipe, reading, self._start, _Batched(self._make))

    def samples(self, begin: int, end: int) -> Iterator[Sample]:
        """The samples of this epoch from one position to before another, of all ranks, in order."""
        places = np.arange(begin, min(end, self.num_samples))
        return self._read(self._start.epoch, places)

    def set_epoch(self, epoch: int) -> None:
        """Go to the beginning of an epoch; in the epoch in which the stream stands it stays where it is."""
        stays = epoch == self._start.epoch and not self._ended
        self._put(self._start if stays else Place(epoch=epoch, position=0))

    def state_dict(self, *, taken: int | None = None) -> State:
        """Where the stream stands, less than 1 KB of JSON, the same for all ranks that have had as many samples.

        `taken`: how many samples (or batches) its iteration gave; as it is known where the stream is iterated, and has
        to be said where workers of a DataLoader do it, which read ahead. Raises UsageError when it is not said there.
        """
        if taken is None and self._shared.read_by_workers and this_worker() is None:
            raise UsageError(
                "this stream is read by workers of a DataLoader, which read ahead; say how many batches were taken, "
                "state_dict(taken=…), or use torchdata's StatefulDataLoader"
            )
        return state_at(self._place(self._taken if taken is None else taken), self._recipe)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to where a state was taken, with as many ranks and workers as there are now.

        Raises UsageError when the state was made for other data, or for another order of it.
        """
        place = place_in(state, self._recipe)
        check_place(place, self.num_samples)
        self._put(place)

    @property
    def _rest(self) -> int:
        return max(0, self.num_samples - self._start.position)

    def _put(self, place: Place) -> None:
        self._start, self._taken, self._num_workers, self._ended = place, 0, 1, False
        if this_worker() is None:
            self._shared.put(place)
            self._times_put = self._shared.times

    def _place(self, taken: int) -> Place:
        position = self._start.position + taken * self._reading.round * self._num_workers
        if self._reading.endless:
            epochs, position = divmod(position, self.num_samples)
            return Place(epoch=self._start.epoch + epochs, position=position)
        return Place(epoch=self._start.epoch, position=min(position, self.num_samples))

    def _iterate(self, worker: Worker) -> Iterator[T]:
        start, rest = self._start, self._rest
        num_batches = self._reading.num_batches(rest)
        at_once = max(1, BLOCK // self._reading.batch_size) * worker.total
        for begin in count(worker.number, at_once):
            batches = np.arange(begin, begin + at_once, worker.total)
            if num_batches is not None:
                batches = batches[batches < num_batches]
            if not len(batches):
                break
            places, sizes = self._reading.samples(batches, rest)
            samples = self._read_on(start, places)
            for size in sizes:
                batch = list(islice(samples, size))
                self._taken += 1
                yield self._make(batch)
        self._ended = True

    def _read_on(self, start: Place, samples: Numbers) -> Iterator[Sample]:
        """Samples, counted from where an epoch was taken up, in that epoch and the next ones; they rise."""
        epochs, places = np.divmod(start.position + samples, self.num_samples)
        for epoch in sorted(set(epochs.tolist())):
            yield from self._read(start.epoch + epoch, places[epochs == epoch])

    def _read(self, epoch: int, places: Numbers) -> Iterator[Sample]:
        """The samples at some places of an epoch; each row is read when its turn comes."""
        sources, rows = self._plan.find(epoch, places)
        data = {number: opened(self.sources[number].address) for number in sorted(set(sources.tolist()))}
        for place, number, row in zip(places.tolist(), sources.tolist(), rows.tolist(), strict=True):
            source = self.sources[number]
            yield Sample(
                row=data[number][row],
                epoch=epoch,
                position=place,
                source=source.name,
                number=row,
                address=source.address,
            )

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_plan": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._plan = self._recipe.plan()
        self._times_put = self._shared.times
        let_torch_iterate(Stream)


def _only(samples: list[Sample]) -> Sample:
    return samples[0]


@dataclass(frozen=True)
class _Mapped(Generic[T, U]):
    make: Callable[[list[Sample]], T]
    function: Callable[[T], U]

    def __call__(self, samples: list[Sample]) -> U:
        return self.function(self.make(samples))


@dataclass(frozen=True)
class _Batched(Generic[T]):
    make: Callable[[list[Sample]], T]

    def __call__(self, samples: list[Sample]) -> list[T]:
        return [self.make([sample]) for sample in samples]
