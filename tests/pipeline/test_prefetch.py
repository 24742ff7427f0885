import threading

import pytest

from recalib_keras.pipeline import Prefetch


def test_each_result_is_that_of_its_number_in_any_order():
    prefetch = Prefetch(lambda number: number**2, count=6)
    assert [prefetch[number] for number in (0, 1, 0, 5, 3, 2)] == [0, 1, 0, 25, 9, 4]


def test_works_ahead_but_not_beyond_the_end():
    begun, all_begun = [], threading.Event()

    def function(number):
        begun.append(number)
        if len(begun) == 3:
            all_begun.set()
        return number

    prefetch = Prefetch(function, count=5, workers=1, most=3)
    assert prefetch[2] == 2 and all_begun.wait(10)
    assert begun == [2, 3, 4]
    assert prefetch[3] == 3 and prefetch[4] == 4 and begun == [2, 3, 4]


def test_errors_come_where_the_result_is_asked_for():
    prefetch = Prefetch(lambda number: 1 // (2 - number), count=4)
    assert prefetch[1] == 1
    with pytest.raises(ZeroDivisionError):
        prefetch[2]
    assert prefetch[3] == -1


def test_closed_it_begins_nothing_more():
    begun = []
    prefetch = Prefetch(begun.append, count=100, most=4)
    prefetch[0]
    prefetch.close()
    prefetch.close()
    prefetch[50]
    assert 50 in begun and not {51, 52, 53} & set(begun)
