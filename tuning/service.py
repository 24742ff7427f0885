"""The chief over the network: what a worker calls, as JSON over gRPC.

The channel is not encrypted and does not know its callers. It carries numbers and names, never code.
"""

from __future__ import annotations

import ipaddress
import json
import time
import warnings
from concurrent import futures
from typing import TYPE_CHECKING, Any

import grpc

from recalib_keras.core.errors import StudyError

if TYPE_CHECKING:
    from recalib_keras.tuning.chief import Chief

METHODS = ("join", "ask", "report", "tell", "leave")
SERVICE = "recalib_keras.Chief"
LONGEST_CALL = 120.0  # seconds; a Bayesian search may compute for a while before it answers
SHORT_CALL = 5.0
LARGEST_MESSAGE = ("grpc.max_receive_message_length", 64 * 2**20)
# States of a chief that is missing, restarts, or computes. Waiting does not help against other errors.
PASSING = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED)
SERVER_OPTIONS = (("grpc.so_reuseport", 0), LARGEST_MESSAGE)
CLIENT_OPTIONS = (
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2000),
    ("grpc.enable_http_proxy", 0),
    LARGEST_MESSAGE,
)


class Door:
    """The address at which workers find the chief. Workers that call before there is a chief wait.

    Args:
        address: `"HOST:PORT"`; port 0 takes a free one.

    Attributes:
        address: The address with the port that was taken.

    Raises:
        StudyError: The address cannot be used.
        ValueError: It is no address.
    """

    def __init__(self, address: str):
        host, port = split_address(address)
        if not is_loopback(host):
            warnings.warn(
                f"the chief listens on {address}: the channel is not encrypted and has no password; use it only on a "
                "network that you trust",
                stacklevel=2,
            )
        self._server = grpc.server(futures.ThreadPoolExecutor(max_workers=8), options=SERVER_OPTIONS)
        try:
            taken = self._server.add_insecure_port(f"{host}:{port}")
        except RuntimeError:
            taken = 0
        if not taken:
            raise StudyError(
                f"expected a free address of this machine, got {address}, which is in use or of another machine; give "
                "another port or host with --oracle"
            )
        self.address = f"{host}:{taken}"

    def open(self, chief: Chief) -> None:
        """Lets workers call the chief.

        Args:
            chief: The chief.
        """
        handlers = {
            name: grpc.unary_unary_rpc_method_handler(
                _answerer(getattr(chief, name)), request_deserializer=json.loads, response_serializer=_encoded
            )
            for name in METHODS
        }
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        self._server.start()

    def close(self) -> None:
        """Ends all calls."""
        self._server.stop(grace=1.0).wait()


class RemoteChief:
    """The chief at an address, with the methods that `Chief` has for workers.

    Calls wait for a chief that does not answer, because it has not started yet or restarts.

    Args:
        address: `"HOST:PORT"`.
        patience: Seconds after which a call gives up.

    Raises:
        StudyError: (any method) The chief did not answer, or refused.
        ValueError: It is no address.
    """

    def __init__(self, address: str, patience: float = 300.0):
        split_address(address)
        self.address, self.patience = address, patience
        self._channel = grpc.insecure_channel(address, options=CLIENT_OPTIONS)
        self._calls = {
            name: self._channel.unary_unary(
                f"/{SERVICE}/{name}", request_serializer=_encoded, response_deserializer=json.loads
            )
            for name in METHODS
        }

    def join(self, worker: str, study: str) -> dict[str, Any]:
        """See `Chief.join`."""
        return self._call("join", worker, study)

    def ask(self, worker: str, study: str) -> dict[str, Any]:
        """See `Chief.ask`."""
        return self._call("ask", worker, study)

    def tell(self, worker: str, study: str, trial: str, attempt: int, outcome: dict[str, Any]) -> dict[str, Any]:
        """See `Chief.tell`."""
        return self._call("tell", worker, study, trial, attempt, outcome)

    def report(self, worker: str, study: str, trial: str, attempt: int, progress: dict[str, Any]) -> dict[str, Any]:
        """Reports once; if the chief does not answer, the trial continues. See `Chief.report`."""
        return self._try("report", {"go_on": True}, worker, study, trial, attempt, progress)

    def leave(self, worker: str, study: str) -> dict[str, Any]:
        """Tells the chief once, if it answers. See `Chief.leave`."""
        return self._try("leave", {}, worker, study)

    def close(self) -> None:
        """Closes the channel."""
        self._channel.close()

    def _try(self, name, default, *arguments):
        try:
            return self._calls[name](arguments, timeout=SHORT_CALL)
        except (grpc.RpcError, ValueError):  # ValueError: the channel is closed
            return default

    def _call(self, name, *arguments):
        end = time.monotonic() + self.patience
        while True:
            left = end - time.monotonic()
            try:
                return self._calls[name](arguments, timeout=max(0.1, min(left, LONGEST_CALL)), wait_for_ready=True)
            except grpc.RpcError as error:
                if error.code() not in PASSING:
                    raise StudyError(error.details()) from None
                if time.monotonic() >= end:
                    raise StudyError(
                        f"expected an answer of the chief at {self.address}, got none for {self.patience:g} s "
                        f"({error.code().name.lower().replace('_', ' ')}); check that `recalib tune --role chief` runs "
                        "there, and that this machine reaches its port"
                    ) from None
            time.sleep(0.1)


def split_address(address: str) -> tuple[str, int]:
    """Returns host and port of `"HOST:PORT"`.

    Args:
        address: The address.

    Raises:
        ValueError: It is no such address.
    """
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"expected an address such as 127.0.0.1:8765, got {address!r}")
    return host, int(port)


def is_loopback(host: str) -> bool:
    """Returns whether only this machine reaches a host.

    Args:
        host: Name or IP address.
    """
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _answerer(method):
    def answer(arguments, context):
        try:
            return method(*arguments)
        except StudyError as error:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))

    return answer


def _encoded(content):
    return json.dumps(content).encode()
