"""Prefetch: prepare batches before they are needed, each by its number."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any


class Prefetch:
    """The results of a function of 0, 1, 2, …, computed in threads shortly before they are needed.

    Keras's own queue for a `PyDataset` gives batches in another order when `fit` looks at one to learn its shape (on
    JAX and PyTorch in the first epoch of a process, under `tf.distribute` in each). A resumed run would then see other
    batches than an uninterrupted one. Here each batch is requested by its number: `prefetch[i]`.

    Args:
        function: Returns the result for a number.
        count: How many numbers there are.
        workers: Number of threads.
        most: How many results may be ready or in work at once.
    """

    def __init__(self, function: Callable[[int], Any], count: int, workers: int = 2, most: int = 4):
        self._function, self._count, self._most = function, count, most
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = ThreadPoolExecutor(workers)
        self._begun: dict[int, Future] = {}

    def __getitem__(self, index: int) -> Any:
        with self._lock:
            if self._pool is not None:
                for number in range(index, min(index + self._most, self._count)):
                    if number not in self._begun:
                        self._begun[number] = self._pool.submit(self._function, number)
            future = self._begun.pop(index, None)
        return self._function(index) if future is None else future.result()

    def close(self) -> None:
        """Prefetches nothing more; later results are computed when they are requested."""
        with self._lock:
            pool, self._pool, self._begun = self._pool, None, {}
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)
