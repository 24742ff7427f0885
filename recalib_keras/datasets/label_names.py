"""The names of label numbers, from the JSON file beside a folder of scans."""

import json

from recalib_keras.core.messages import one_line
from recalib_keras.datasets.problems import Problem


def read_json(path):
    """Returns the mapping in a JSON file, and as a list what is wrong with the file; empty if there is none."""
    if not path.is_file():
        return {}, []
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return {}, [Problem(path, "a JSON file that can be read", one_line(error))]
    if not isinstance(content, dict):
        return {}, [Problem(path, "a JSON file with a mapping", f"a {type(content).__name__}")]
    return content, []


def label_names(mapping, path):
    """Returns number to name, and as a list what is wrong.

    Both ways of writing are understood: `{"1": "liver"}` (the Decathlon's) and `{"liver": 1}` (nnU-Net's).

    Args:
        mapping: as read from JSON; an empty one, or None, tells nothing.
        path: the file it was read from.

    >>> label_names({"0": "background", "1": "liver"}, "dataset.json")
    ({0: 'background', 1: 'liver'}, [])
    >>> label_names({"background": 0, "liver": 1}, "dataset.json")
    ({0: 'background', 1: 'liver'}, [])
    """
    if not mapping:
        return None, []
    names = {}
    for key, value in mapping.items() if isinstance(mapping, dict) else ():
        if isinstance(value, str) and key.strip().isdigit():
            names[int(key)] = value
        elif isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            names[value] = key
    if not isinstance(mapping, dict) or len(names) != len(mapping):
        return None, [
            Problem(path, 'labels as {"1": "liver", ...}, each number and name once', json.dumps(mapping)[:200])
        ]
    return {0: "background"} | dict(sorted(names.items())), []
