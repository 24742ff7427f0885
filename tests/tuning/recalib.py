"""The `recalib` command with fake trainings: real processes, but workers without TensorFlow.

A fake training writes a log and a checkpoint each epoch as the real one does, continues from them, and reaches a score
that depends on its learning rate and seed. Files in the data folder control it:

- `hold`: text `TRIAL EPOCH`; a worker waits in that epoch until the file is gone, and writes its id to `held-TRIAL`.
- `size`: number of bytes of a checkpoint.
- `die`: number of a trial that kills its worker.
- `pace`: seconds that an epoch takes.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

from recalib_keras.cli import main
from recalib_keras.tuning.trials import execution

NOTE = "executed.txt"  # a line `TRIAL SEED EPOCH` for each epoch that was trained


def execute(task, seed, folder, data_root, on_line):
    """Replaces `recalib_keras.tuning.trials.execution.execute`."""
    from recalib_keras.training.run.folder import CHECKPOINT
    from recalib_keras.training.run.log import LOG

    folder, control = Path(folder), Path(data_root)
    folder.mkdir(parents=True, exist_ok=True)
    message = ""
    while not execution.end_of(execution.read_lines(folder, "dice"), task):
        epoch = len(execution.read_lines(folder, "dice")) + 1
        _obey(task["trial"], epoch, control)
        with (control / NOTE).open("a") as note:
            note.write(f"{task['trial']} {seed} {epoch}\n")
        size = int((control / "size").read_text()) if (control / "size").exists() else 10
        (folder / CHECKPOINT).write_bytes(bytes(size))
        if (control / "pace").exists():
            time.sleep(float((control / "pace").read_text()))
        line = {"epoch": epoch, "loss": 1 / epoch, "seconds": 0.01, "dice": score(task["recipe"], seed, epoch)}
        with (folder / LOG).open("a") as log:
            log.write(json.dumps(line) + "\n")
        try:
            on_line({**line, "score": line["dice"]})
        except execution.Interrupted as error:
            message = str(error)
            break
    lines = execution.read_lines(folder, "dice")
    best = max(lines, key=lambda line: line["score"])
    done = {"seed": seed, "score": best["score"], "best_epoch": best["epoch"], "epochs": len(lines), "stopped": ""}
    return {"execution": done, "lines": lines, "parameters": 1000, "message": message}


def score(recipe, seed, epoch):
    """Returns the score of a training."""
    return round(0.5 + recipe["optimizer"]["learning_rate"] + 0.001 * seed + 0.01 * epoch, 6)


def _obey(trial, epoch, control):
    hold, held = control / "hold", control / f"held-{trial}"
    while hold.exists() and hold.read_text() == f"{trial} {epoch}":
        held.write_text(str(os.getpid()))
        time.sleep(0.01)
    if (control / "die").exists() and (control / "die").read_text() == trial:
        os.kill(os.getpid(), signal.SIGKILL)


def dask_setup(worker):
    """Lets the trainings of a worker that was started with `--preload` of this file be fake."""
    execution.execute = execute


if __name__ in ("__main__", "__mp_main__"):  # worker processes of the command import this file under the second name
    execution.execute = execute
if __name__ == "__main__":
    sys.exit(main.main())
