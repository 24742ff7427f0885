"""recalib info: all about one preset."""


def add_arguments(parser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument("name", metavar="NAME", help="see `recalib presets`, or the path of a preset's folder")


def run(arguments) -> None:
    """Prints the preset's card and the names and colours of its labels."""
    from recalib_keras import zoo

    preset = zoo.info(arguments.name)
    print((preset.folder / "README.md").read_text(encoding="utf-8"))
    for weights, described in preset.weight_sets.items():
        print(f"{weights}: label, colour, structure")
        for label in described.labels:
            print(f"  {label.id:5d}  #{bytes(label.color).hex()}  {label.name}")
