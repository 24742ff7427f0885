"""Trainings over two devices, in a process of its own whose CPU is cut into two: `mirrored.py DATA (RECIPE FOLDER)…`"""

import sys


def main(data, *runs):
    """Trains by each recipe into the folder that follows it; resumes what there is."""
    import tensorflow as tf

    halves = [tf.config.LogicalDeviceConfiguration() for _ in range(2)]
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], halves)
    from recalib_keras.training import Recipe, train
    from recalib_keras.training.distributed.strategy import over_devices

    for recipe, folder in zip(runs[::2], runs[1::2]):
        train(Recipe.read(recipe), folder, data, resume=True, distribution=over_devices(2))


if __name__ == "__main__":
    main(*sys.argv[1:])
