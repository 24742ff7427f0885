"""A command that trains and kills itself at a chosen moment:

    python dying.py MOMENT COUNT RECIPE FOLDER DATA

The process gets SIGKILL when it reaches the moment for the COUNT-th time. Moments are `step` (a batch is made) and
`validate` (the validation begins), and of a file that is written `half FILE` (half of it is written, under its
temporary name), `replace FILE` (it is written, but not in place yet) and `replaced FILE` (it is in place). With `never`
the training ends normally.
"""

import collections
import os
import signal
import sys


def main(moment, count, recipe, folder, data):
    """Trains or resumes until the moment comes."""
    from recalib_keras.training import Recipe, train, trainer
    from recalib_keras.training.data import examples

    reached = collections.Counter()

    def die_at(name):
        reached[name] += 1
        if name == moment and reached[name] == int(count):
            os.kill(os.getpid(), signal.SIGKILL)

    make, validate, replace = examples.Examples._make, trainer.validate, os.replace

    def make_or_die(self, step):
        die_at("step")
        return make(self, step)

    def validate_or_die(*args, **kwargs):
        die_at("validate")
        return validate(*args, **kwargs)

    def replace_or_die(source, target):
        if moment == f"half {target.name}":
            os.truncate(source, os.path.getsize(source) // 2)
            die_at(moment)
        die_at(f"replace {target.name}")
        replace(source, target)
        die_at(f"replaced {target.name}")

    examples.Examples._make, trainer.validate, os.replace = make_or_die, validate_or_die, replace_or_die
    train(Recipe.read(recipe), folder, data, resume=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
