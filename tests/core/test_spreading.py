"""Work that is spread: here, over processes of this machine, and over a cluster; with real deaths."""

import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest

from recalib_keras.core.errors import ClusterError
from recalib_keras.core.spreading.pool import Listener, Workers, open_pool


def work(item, report):
    """Does what a word asks for: `die`, `die FILE` (once), `fail`, `until stopped`, `key`, `id`. Doubles a number."""
    if not isinstance(item, str):
        return 2 * item
    order, _, rest = item.partition(" ")
    if order == "die" and not (rest and Path(rest).exists()):
        if rest:
            Path(rest).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if order == "key":
        from distributed import get_worker

        return get_worker().get_current_task()
    if order == "fail":
        raise ArithmeticError(rest)
    if order == "until":
        turns = 0
        while report({"turn": turns}):
            turns += 1
            time.sleep(0.01)
        return turns
    return os.getpid()


class Notes(Listener):
    """Writes down the events; wants no item longer than three reports."""

    def __init__(self):
        self.starts, self.losses, self.reports, self.ticks = [], [], [], 0

    def on_start(self, item, worker):
        self.starts.append((item, worker))

    def on_loss(self, item):
        self.losses.append(item)

    def on_report(self, item, report):
        self.reports.append(report["turn"])
        return report["turn"] < 3

    def on_tick(self):
        self.ticks += 1


def test_here():
    notes = Notes()
    with open_pool() as pool:
        done = list(pool.spread(work, [1, "fail oh", "until stopped"], notes))
    assert [one.result for one in done] == [2, None, 3] and str(done[1].error) == "oh"
    assert notes.starts[0] == (1, "this process") and notes.reports == [0, 1, 2, 3] and notes.ticks > 3


def test_items_can_depend_on_results():
    found = []

    def items():
        yield 1
        while found[-1] < 20:
            yield found[-1]

    with open_pool() as pool:
        for done in pool.spread(work, items()):
            found.append(done.result)
    assert found == [2, 4, 8, 16, 32]


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    logs = tmp_path_factory.mktemp("logs")
    with open_pool(Workers(2, threads=1, logs=logs)) as pool:
        pool.logs = logs
        yield pool


def test_processes(pool):
    done = list(pool.spread(work, [1, 2, "id", "id", "fail oh"]))
    assert sorted(one.result for one in done if isinstance(one.item, int)) == [2, 4]
    assert all(one.result != os.getpid() for one in done if one.item == "id")
    assert [(type(one.error), str(one.error)) for one in done if one.error] == [(ArithmeticError, "oh")]
    assert {path.name for path in pool.logs.iterdir()} == {"worker-1.log", "worker-2.log"}


def test_no_item_has_the_key_of_an_earlier_one(pool):
    """The scheduler may still remember what became of the earlier one."""
    keys = [done.result for _ in range(2) for done in pool.spread(work, ["key", "key"])]
    assert len(set(keys)) == 4


def test_a_report_can_end_an_item(pool):
    notes = Notes()
    (done,) = pool.spread(work, ["until stopped"], notes)
    assert done.result >= 3 and notes.reports[:4] == [0, 1, 2, 3]


def test_another_worker_gets_the_item_of_a_dead_one(pool, tmp_path):
    notes, item = Notes(), f"die {tmp_path / 'dead'}"
    done = list(pool.spread(work, [item, *range(6)], notes))
    assert len(done) == 7 and all(one.error is None for one in done)
    assert notes.losses == [item] and [start for start, _ in notes.starts].count(item) == 2


def test_a_death_counts_that_is_reported_after_another_worker_has_finished(pool, tmp_path):
    class Slow(Notes):
        def on_start(self, item, worker):
            super().on_start(item, worker)
            time.sleep(1)

    notes, item = Slow(), f"die {tmp_path / 'dead'}"
    (done,) = pool.spread(work, [item], notes)
    assert done.error is None and notes.losses == [item] and len(notes.starts) == 2


def test_an_item_that_kills_three_workers_is_given_up_and_no_other(pool):
    notes = Notes()
    done = {one.item: one for one in pool.spread(work, ["die", *range(8)], notes)}
    assert done["die"].is_lost and isinstance(done["die"].error, ClusterError)
    assert "3 workers that died while working on it" in str(done["die"].error) and notes.losses == ["die"] * 3
    assert [done[number].result for number in range(8)] == [2 * number for number in range(8)]


def test_waits_for_items_that_come_later(pool):
    running = []

    def items():
        yield 1
        while not running:
            yield None
        yield 2

    results = []
    for done in pool.spread(work, items()):
        running.append(done)
        results.append(done.result)
    assert results == [2, 4]


def test_leaves_no_file_in_the_folder(pool, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert [one.result for one in pool.spread(work, [1])] == [2]
    assert list(tmp_path.iterdir()) == []


def test_every_port_is_of_this_machine_alone(pool):
    inodes = {link.readlink().name for link in Path("/proc/self/fd").iterdir() if link.is_symlink()}
    listening = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    ours = [one[1] for one in listening if one[3] == "0A" and f"socket:[{one[9]}]" in inodes]
    assert ours and all(address.startswith("0100007F:") for address in ours)


def test_a_dask_cluster_of_ones_own(pool):
    from distributed import Client, LocalCluster

    with LocalCluster(n_workers=1, threads_per_worker=2, processes=False, dashboard_address="127.0.0.1:0") as cluster:
        with open_pool(Workers(scheduler=cluster)) as other:
            assert sorted(one.result for one in other.spread(work, range(5))) == [0, 2, 4, 6, 8]
        with Client(cluster, set_as_default=False):
            pass  # it is still there


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"count": 2, "scheduler": "tls://a:1"},
            "expected one of --workers, --scheduler and --scheduler-file, got 2 and",
        ),
        ({"count": 0}, "expected at least 1 worker, got 0"),
    ],
)
def test_refuses_bad_places(options, message):
    with pytest.raises(ValueError, match=message):
        Workers(**options)


def test_missing_scheduler(tmp_path, monkeypatch):
    pytest.importorskip("distributed")
    from recalib_keras.core.spreading import cluster

    monkeypatch.setattr(cluster, "PATIENCE", 0.3)
    for place in ({"scheduler": "tcp://127.0.0.1:9"}, {"scheduler_file": tmp_path / "none.json"}):
        with pytest.raises(ClusterError, match=r"expected a (Dask )?scheduler"), open_pool(Workers(**place)):
            pass


@pytest.mark.slow
def test_a_script_that_processes_cannot_import_is_one_error():
    script = "from recalib_keras.core.spreading.pool import *\nwith open_pool(Workers(1)): pass"
    done = subprocess.run([sys.executable], input=script, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert 'below if __name__ == "__main__": and save the script to a file' in done.stderr.splitlines()[-1]


def test_needs_dask_only_for_workers(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with open_pool() as pool:
        assert [one.result for one in pool.spread(work, [1])] == [2]
    with (
        pytest.raises(ImportError, match=r'run: pip install "recalib-keras\[cluster\]"'),
        open_pool(Workers(2)),
    ):
        pass


@pytest.mark.parametrize(
    ("address", "warns"),
    [("tcp://10.0.0.1:8786", True), ("tcp://127.0.0.1:1", False), ("tcp://[::1]:1", False), ("tls://node:1", False)],
)
def test_warns_of_a_connection_that_is_not_encrypted(address, warns):
    from recalib_keras.core.spreading.cluster import _check_encrypted

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        _check_encrypted(address)
    assert ["not encrypted" in str(one.message) for one in caught] == [True] * warns
