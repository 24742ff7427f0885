"""Prepare batches ahead of their use, each by its number."""

import threading
from concurrent.futures import ThreadPoolExecutor


class Ahead:
    """Results of a function of 0, 1, 2, …, worked out in threads shortly before they are asked for.

    Keras's own queue for a `PyDataset` gives batches in another order where `fit` looks at one to learn its shape
    (on JAX and PyTorch in the first epoch of a process, under `tf.distribute` in each), so that a resumed run would
    not see what an unbroken one does. Here each batch is asked for by its number.

    Args:
        function: from an integer to anything.
        count: how many integers there are.
        workers: number of threads.
        most: how many results to have ready or under way.
    """

    def __init__(self, function, count, workers=2, most=4):
        self._function, self._count, self._most = function, count, most
        self._pool, self._lock, self._begun = ThreadPoolExecutor(workers), threading.Lock(), {}

    def __getitem__(self, index):
        with self._lock:
            if self._pool is not None:
                for number in range(index, min(index + self._most, self._count)):
                    if number not in self._begun:
                        self._begun[number] = self._pool.submit(self._function, number)
            future = self._begun.pop(index, None)
        return self._function(index) if future is None else future.result()

    def close(self) -> None:
        """Begins nothing more; what is asked for from now on is worked out then."""
        with self._lock:
            pool, self._pool, self._begun = self._pool, None, {}
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)
