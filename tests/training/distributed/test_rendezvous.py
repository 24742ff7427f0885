import contextlib
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from recalib_keras.training.distributed.rendezvous import GREETING, host_rendezvous, join_rendezvous


@pytest.fixture
def port():
    """A port that is free."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def addresses(port, *others):
    return [f"127.0.0.1:{port}", *others]


def stranger(port, words):
    """Sends something that no host sends to host 0, once it listens; waits until host 0 closes the connection."""
    for _ in range(100):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(words)
            assert connection.recv(1) == b""
            return
        time.sleep(0.05)


def test_all_hosts_continue_once_all_have_reported(port):
    hosts, continued = addresses(port, "b", "c:1"), []

    def come(host):
        (host_rendezvous(hosts, 20) if host == 0 else join_rendezvous(hosts, host, 20))
        continued.append(host)

    with ThreadPoolExecutor(3) as pool:
        first = [pool.submit(come, host) for host in (1, 0)]
        stranger(port, b"GET / HTTP/1.1\r\n")
        time.sleep(0.5)
        assert continued == []
        last = pool.submit(come, 2)
        for future in (*first, last):
            future.result(20)
    assert sorted(continued) == [0, 1, 2]
    socket.create_server(("", port)).close()  # free for whoever comes next


def test_says_which_host_is_missing(port):
    hosts = addresses(port, "10.0.0.2:4321", "10.0.0.3:4321")
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(join_rendezvous, hosts, 1, 20)
        with pytest.raises(
            TimeoutError, match=rf"3 hosts within 2 s, got no report of host 2 \(10.0.0.3:4321\); .* port {port} of"
        ):
            host_rendezvous(hosts, timeout=2)
        with pytest.raises(ConnectionError, match=f"it stopped waiting; see its message on 127.0.0.1:{port}"):
            other.result(20)


def test_a_host_may_disconnect_and_report_again(port):
    hosts = addresses(port, "b", "c")
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(host_rendezvous, hosts, 20)
        with pytest.raises(TimeoutError, match="still waits for others"):
            join_rendezvous(hosts, 1, timeout=0.5)
        others = [pool.submit(join_rendezvous, hosts, host, 20) for host in (2, 1)]
        for future in (first, *others):
            future.result(20)


@pytest.mark.slow
def test_a_host_may_report_again_while_host_0_waits(port):
    hosts = addresses(port, "b", "c")
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(host_rendezvous, hosts, 20)
        for _ in range(20):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)) as connection:
                connection.sendall(f"{GREETING} 1\n".encode())
                time.sleep(0.2)  # until host 0 waits for the next one
            time.sleep(0.05)
        others = [pool.submit(join_rendezvous, hosts, host, 20) for host in (1, 2)]
        for future in (first, *others):
            future.result(20)


def test_says_that_host_0_is_missing(port):
    with pytest.raises(TimeoutError, match=f"host 0 at 127.0.0.1:{port} within 0.5 s, got 'Connection refused'; start"):
        join_rendezvous(addresses(port, "b"), 1, timeout=0.5)


def test_says_that_host_0_waits_for_others(port):
    silent = socket.create_server(("127.0.0.1", port))
    with (
        silent,
        pytest.raises(TimeoutError, match=r"2 hosts within 0\.5 s, got no answer: host 0 still waits for others"),
    ):
        join_rendezvous(addresses(port, "b"), 1, timeout=0.5)


@pytest.mark.parametrize("coming", [(1, 1), (3,)], ids=["twice", "too many"])
def test_each_host_reports_once(coming, port):
    hosts = addresses(port, "b", "c")
    with ThreadPoolExecutor(2) as pool:
        others = [pool.submit(join_rendezvous, hosts, host, 20) for host in coming]
        with pytest.raises(ValueError, match=f"expected each host once, .* from 1 to 2, got {coming[-1]}"):
            host_rendezvous(hosts, timeout=20)
        for other in others:
            with pytest.raises(OSError, match=r"it stopped waiting|reset by peer"):
                other.result(20)


def test_says_that_the_port_is_taken(port):
    expected = f"listen on port {port}, got 'Address already in use'; choose another"
    with socket.create_server(("", port)), pytest.raises(OSError, match=expected):
        host_rendezvous(addresses(port, "b"), timeout=1)


@pytest.mark.parametrize("address", ["10.0.0.1", ":4321", "10.0.0.1:", "10.0.0.1:port", "10.0.0.1:70000"])
def test_the_first_address_has_a_port(address):
    with pytest.raises(ValueError, match=r"expected the first host as HOST:PORT, such as 10.0.0.1:4321, got '"):
        host_rendezvous([address, "b:1"], timeout=1)
    with pytest.raises(ValueError, match="as HOST:PORT"):
        join_rendezvous([address, "b:1"], 1, timeout=1)


def test_waiting_for_a_name_that_is_unknown():
    with pytest.raises(TimeoutError, match=r"host 0 at no-such-host.invalid:4321 within 0.5 s, got '.+'; start"):
        join_rendezvous(["no-such-host.invalid:4321", "b"], 1, timeout=0.5)
