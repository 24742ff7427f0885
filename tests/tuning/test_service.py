import threading
import time
import warnings

import pytest
from study_processes import free_address

from recalib_keras.core.errors import StudyError
from recalib_keras.tuning.service import Door, RemoteChief, is_loopback, split_address


class Answers:
    """A chief that answers, and remembers what it was asked."""

    def __init__(self):
        self.asked, self.error = [], None

    def __getattr__(self, name):
        def answer(*arguments):
            if self.error is not None:
                raise self.error
            self.asked.append((name, arguments))
            return {"answer": name, "go_on": False}

        return answer


@pytest.fixture
def chief():
    return Answers()


@pytest.fixture
def door(chief):
    door = Door("127.0.0.1:0")
    door.open(chief)
    yield door
    door.close()


@pytest.fixture
def remote(door):
    remote = RemoteChief(door.address, patience=20)
    yield remote
    remote.close()


def test_calls(remote, chief):
    outcome = {"status": "completed", "minutes": 1.5, "history": {"1": [{"epoch": 1}]}, "message": "äöü"}
    assert remote.join("w", "study") == {"answer": "join", "go_on": False}
    remote.ask("w", "study")
    assert remote.report("w", "study", "0", 1, {"epoch": 2})["go_on"] is False
    remote.tell("w", "study", "0", 1, outcome)
    remote.leave("w", "study")
    assert [name for name, _ in chief.asked] == ["join", "ask", "report", "tell", "leave"]
    assert chief.asked[3][1] == ("w", "study", "0", 1, outcome)


def test_passes_a_refusal_on(remote, chief):
    chief.error = StudyError("another study")
    with pytest.raises(StudyError, match=r"^another study$"):
        remote.join("w", "study")


def test_does_not_wait_after_an_error(remote, chief):
    chief.error = ZeroDivisionError("oh")
    start = time.monotonic()
    with pytest.raises(StudyError, match="oh"):
        remote.ask("w", "study")
    assert time.monotonic() - start < 10


def test_waits_for_a_late_chief(chief):
    address = free_address()
    remote = RemoteChief(address, patience=60)
    found = []
    thread = threading.Thread(target=lambda: found.append(remote.join("w", "study")))
    thread.start()
    time.sleep(0.5)
    assert found == []
    door = Door(address)
    door.open(chief)
    thread.join(60)
    assert found == [{"answer": "join", "go_on": False}]
    door.close()
    again = Door(address)  # the chief is started again, and found again
    again.open(chief)
    assert remote.ask("w", "study")["answer"] == "ask"
    remote.close()
    again.close()


def test_gives_up_a_missing_chief():
    address = free_address()
    remote = RemoteChief(address, patience=0.5)
    start = time.monotonic()
    with pytest.raises(
        StudyError, match=f"expected an answer of the chief at {address}, got none for 0.5 s .*--role chief"
    ):
        remote.join("w", "study")
    assert time.monotonic() - start < 10
    assert remote.report("w", "study", "0", 1, {}) == {"go_on": True}  # a trial continues without it
    assert remote.leave("w", "study") == {}
    remote.close()


def test_refuses_an_address_in_use(door):
    with pytest.raises(
        StudyError, match=f"expected a free address of this machine, got {door.address}, which is in use"
    ):
        Door(door.address)


def test_warns_unless_on_loopback():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Door("127.0.0.1:0").close()
        Door("localhost:0").close()
    with pytest.warns(UserWarning, match="not encrypted and has no password"):
        Door("0.0.0.0:0").close()


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("127.1.2.3", True), ("[::1]", True), ("localhost", True), ("0.0.0.0", False), ("n1", False)],
)
def test_is_loopback(host, expected):
    assert is_loopback(host) == expected


@pytest.mark.parametrize("address", ["", "8765", "host", "host:", ":8765", "host:port", "host:65536"])
def test_refuses_what_is_no_address(address):
    with pytest.raises(ValueError, match=r"expected an address such as 127.0.0.1:8765"):
        RemoteChief(address)
    assert split_address("[::1]:80") == ("[::1]", 80)
