import threading

import pytest

from recalib_keras.pipeline import Ahead


def test_each_result_is_that_of_its_number_in_any_order():
    ahead = Ahead(lambda number: number**2, count=6)
    assert [ahead[number] for number in (0, 1, 0, 5, 3, 2)] == [0, 1, 0, 25, 9, 4]


def test_works_ahead_but_not_beyond_the_end():
    begun, all_begun = [], threading.Event()

    def function(number):
        begun.append(number)
        if len(begun) == 3:
            all_begun.set()
        return number

    ahead = Ahead(function, count=5, workers=1, most=3)
    assert ahead[2] == 2 and all_begun.wait(10)
    assert begun == [2, 3, 4]
    assert ahead[3] == 3 and ahead[4] == 4 and begun == [2, 3, 4]


def test_errors_come_where_the_result_is_asked_for():
    ahead = Ahead(lambda number: 1 // (2 - number), count=4)
    assert ahead[1] == 1
    with pytest.raises(ZeroDivisionError):
        ahead[2]
    assert ahead[3] == -1


def test_closed_it_begins_nothing_more():
    begun = []
    ahead = Ahead(begun.append, count=100, most=4)
    ahead[0]
    ahead.close()
    ahead.close()
    ahead[50]
    assert 50 in begun and not {51, 52, 53} & set(begun)
