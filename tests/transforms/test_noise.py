import keras
import numpy as np
import pytest
from scipy import stats
from synthesis.heads import noise_by_numpy

from recalib_keras.transforms.noise import hash_bits, normal_pair


def pair(shape, *keys):
    return [keras.ops.convert_to_numpy(part) for part in normal_pair(shape, np.array(keys, "int32"))]


def test_bits_are_those_of_the_published_hash():
    def lowbias32(x):
        x ^= x >> 16
        x = x * 0x7FEB352D % 2**32
        x ^= x >> 15
        x = x * 0x846CA68B % 2**32
        return x ^ (x >> 16)

    numbers = [0, 1, 2, 12345, 2**31 - 1, -1, -(2**31)]
    bits = keras.ops.convert_to_numpy(hash_bits(keras.ops.convert_to_tensor(np.array(numbers, "int32"))))
    assert [int(x) % 2**32 for x in bits] == [lowbias32(x % 2**32) for x in numbers]


@pytest.mark.parametrize("key", [0, 7, -5, 2**31 - 1])
def test_noise_is_that_of_the_formula(key):
    for found, expected in zip(pair((5, 6, 7), key), noise_by_numpy((5, 6, 7), key)):
        np.testing.assert_allclose(found[0], expected, atol=1e-4)


def test_noise_is_normal_and_white():
    first, second = (part[0] for part in pair((64, 64, 32), 99))
    for noise in (first, second):
        assert abs(noise.mean()) < 0.01 and noise.std() == pytest.approx(1, abs=0.01)
        assert abs(stats.skew(noise, axis=None)) < 0.03 and abs(stats.kurtosis(noise, axis=None)) < 0.05
        assert np.abs(noise).max() < 4.9
        for axis in range(3):
            ahead, behind = np.take(noise, range(1, 32), axis), np.take(noise, range(31), axis)
            assert abs(np.corrcoef(ahead.ravel(), behind.ravel())[0, 1]) < 0.015
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.015


def test_each_key_has_its_own_noise():
    first, _ = pair((16, 16, 16), 1, 123456789, 1)
    assert np.array_equal(first[0], first[2])
    assert abs(np.corrcoef(first[0].ravel(), first[1].ravel())[0, 1]) < 0.06
