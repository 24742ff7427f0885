"""The rendezvous of several hosts before a training, which names the hosts that are missing.

If a host is missing, JAX's own service ends the process with a stack trace. So all hosts report to host 0 on the same
port first, and host 0 lets them continue once they are complete.
"""

import contextlib
import os
import socket
import time
from collections.abc import Sequence

GREETING, COMPLETE = "recalib-keras host", "all here"


def host_rendezvous(addresses: Sequence[str], timeout: float) -> None:
    """Waits on host 0 until all other hosts have reported, and lets them continue.

    Args:
        addresses: `HOST:PORT` of each host.
        timeout: How long to wait, in seconds.

    Raises:
        ValueError: The first address has no port, or two processes report as the same host.
        TimeoutError: A host does not report in time.
        OSError: The port cannot be listened on.
    """
    port, deadline, present = _place(addresses[0])[1], time.monotonic() + timeout, {}
    with _listen(port) as server, contextlib.ExitStack() as connections:
        while _missing(addresses, present):
            connection, host = _next_report(server, deadline)
            _remove_disconnected(present)
            if connection is None:
                missing = ", ".join(_missing(addresses, present))
                raise TimeoutError(
                    f"expected {len(addresses)} hosts within {timeout:g} s, got no report of host {missing}; start "
                    f"the same command there, and check that it can reach port {port} of this host"
                )
            connections.callback(connection.close)
            if host in present or not 0 < host < len(addresses):
                raise ValueError(
                    f"expected each host once, with an index from 1 to {len(addresses) - 1}, got {host} "
                    f"{'again' if host in present else 'too'}; give each its own --host-index"
                )
            present[host] = connection
        for connection in present.values():
            _release(connection)


def join_rendezvous(addresses: Sequence[str], host: int, timeout: float) -> None:
    """Reports to host 0, and waits until all hosts have reported.

    Args:
        addresses: `HOST:PORT` of each host.
        host: Number of this host, from 1.
        timeout: How long to wait, in seconds.

    Raises:
        ValueError: The first address has no port.
        TimeoutError: Host 0 does not answer in time, or still waits for others.
        ConnectionError: Host 0 stopped waiting.
    """
    place, deadline = _place(addresses[0]), time.monotonic() + timeout
    with _connect(place, deadline, addresses[0], timeout) as connection:
        connection.settimeout(max(0.1, deadline - time.monotonic()))
        try:
            connection.sendall(f"{GREETING} {host}\n".encode())
            answer = connection.makefile(encoding="utf-8").readline().strip()
        except TimeoutError:
            raise TimeoutError(
                f"expected {len(addresses)} hosts within {timeout:g} s, got no answer: host 0 still waits for others; "
                "start the same command on all of them"
            ) from None
    if answer != COMPLETE:
        raise ConnectionError(
            f"expected host 0 to start the training, got none: it stopped waiting; see its message on {addresses[0]}"
        )


def _place(address):
    name, separator, port = address.rpartition(":")
    if not (separator and name and port.isdigit() and 0 < int(port) < 2**16):
        raise ValueError(f"expected the first host as HOST:PORT, such as 10.0.0.1:4321, got {address!r}")
    return name.strip("[]"), int(port)


def _listen(port):
    try:
        if socket.has_dualstack_ipv6():
            return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
        return socket.create_server(("", port))
    except OSError as error:
        reason = os.strerror(error.errno)
        raise OSError(f"expected to listen on port {port}, got {reason!r}; choose another port") from None


def _next_report(server, deadline):
    """Returns the next host's connection and number; None at the deadline. Closes connections of other programs."""
    while (left := deadline - time.monotonic()) > 0:
        server.settimeout(left)
        try:
            connection, _ = server.accept()
        except TimeoutError:
            break
        connection.settimeout(min(5.0, max(0.1, deadline - time.monotonic())))
        try:
            words = connection.makefile(encoding="utf-8", errors="replace").readline(64).rsplit(maxsplit=1)
        except OSError:
            words = []
        if len(words) == 2 and words[0] == GREETING and words[1].isdigit():
            return connection, int(words[1])
        connection.close()
    return None, None


def _remove_disconnected(present):
    for host in [host for host, connection in present.items() if _is_closed(connection)]:
        del present[host]


def _missing(addresses, present):
    return [f"{host} ({address})" for host, address in enumerate(addresses) if host and host not in present]


def _is_closed(connection):
    connection.setblocking(False)
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def _release(connection):
    connection.settimeout(5.0)
    try:
        connection.sendall(f"{COMPLETE}\n".encode())
        connection.recv(1)  # waits until the other side has closed, which frees the port at once
    except OSError:
        pass  # JAX reports that this host is lost


def _connect(place, deadline, address, timeout):
    """Returns a connection to host 0, which may be started later than this one."""
    while True:
        try:
            return socket.create_connection(place, timeout=max(0.1, deadline - time.monotonic()))
        except OSError as error:
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"expected host 0 at {address} within {timeout:g} s, got {error.strerror or str(error)!r}; start "
                    "the same command there, and check that its port is open to this host"
                ) from None
            time.sleep(0.2)
