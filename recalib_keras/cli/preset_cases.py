"""What `recalib evaluate --preset` measures: a preset's segmentations of scans it was not trained on."""

from recalib_keras.cli.messages import tell
from recalib_keras.cli.options import named_weights
from recalib_keras.core.backend import start_backend


def preset_cases(arguments):
    """Returns the scans with their segmentations to come, the structures to measure, and how to draw the gates.

    Args:
        arguments: of the command `evaluate`.

    Raises:
        ValueError: for an unknown preset, weight set or set of scans, for scans without the preset's structures, and
            with `gates` for a network without blocks.
    """
    start_backend()
    from recalib_keras.inference import Segmenter
    from recalib_keras.inference.gates import shown_blocks

    weights = named_weights(arguments.weights)
    segmenter = Segmenter.from_preset(arguments.preset, weights, flips=arguments.flip)
    draw_gates = None
    if arguments.gates:
        model = _network(arguments, segmenter)
        shown_blocks(model)  # a plain network has none, and says so before the first scan
        draw_gates = _gates_drawer(model, segmenter)
    scans, structures = _scans(arguments, segmenter.labels[1:])
    return [_case(scan, segmenter) for scan in scans], structures, draw_gates


def _network(arguments, segmenter):
    """Returns the network whose gates are drawn: the one that segments, if it is one."""
    from recalib_keras import zoo

    engines = segmenter.engines
    return engines[0].model if len(engines) == 1 else zoo.load(arguments.preset, arguments.weights)


def _case(scan, segmenter):
    from recalib_keras.evaluation import Case

    def read_maps():
        image, truth = scan.read()
        return segmenter(image, measure_uncertainty=False).label_map, truth

    return Case(scan.name, read_maps, lambda: scan.read()[0])


def _gates_drawer(model, segmenter):
    from recalib_keras.evaluation.figures.gate_maps import gate_figure
    from recalib_keras.inference.gates import gate_maps

    def draw_gates(case, path):
        seen = gate_maps(model, segmenter.input, case.read_image(), case.read_maps()[1].array)
        title = f"{case.name}: what the network saw, true structures outlined"
        gate_figure(seen.image, seen.blocks, path, seen.labels, segmenter.labels[1:], title)

    return draw_gates


def _scans(arguments, labels):
    """Returns labelled scans, and those of the labels that they can have."""
    if arguments.dataset is not None:
        return _other_scans(arguments, labels)
    from recalib_keras.training import held_out

    part = arguments.part or "validation"
    return held_out(arguments.preset, named_weights(arguments.weights), arguments.data, part), labels


def _other_scans(arguments, labels):
    """Returns the scans of a set that the preset was not trained on, in the preset's numbers; says what they lack."""
    from recalib_keras import datasets
    from recalib_keras.datasets.label_mapping import renumber

    dataset, folder = arguments.dataset
    found = datasets.survey(folder, dataset, arguments.volume)
    if found.problems:
        raise datasets.DatasetError(found.problems)
    scans = [scan for scan in found.scans if arguments.part != "test" or scan.part == "test"]
    if not scans:
        raise ValueError(f"expected an official test part in {folder}, got none; leave --part out to measure all scans")
    scans, structures = renumber(scans, _names(arguments, found), labels)
    missing = [label.name for label in labels if label not in structures]
    if missing:
        tell("evaluate", f"not in {folder} by name, so not measured: {', '.join(missing)}")
    return scans, structures


def _names(arguments, found):
    """Returns the name of each label number of a set, from the file given for it or from the set itself."""
    from recalib_keras import evaluation

    if arguments.label_names is not None:
        return {structure.id: structure.name for structure in evaluation.read_structures(arguments.label_names)}
    if found.labels is None:
        remarks = f" ({'; '.join(map(str, found.remarks))})" if found.remarks else ""
        raise ValueError(
            f"expected names of the label numbers in {arguments.dataset[1]}, got none{remarks}; give --label-names "
            "FILE, or the folder its file of names: see recalib datasets NAME"
        )
    return found.labels
