"""recalib train: fit a network by a recipe."""

from pathlib import Path

from recalib_keras.cli.backend import start_backend
from recalib_keras.cli.options import add_data_argument

ERRORS = (ValueError, OSError, RuntimeError)


def add_arguments(parser):
    """Adds the arguments of the command."""
    parser.add_argument("recipe", type=Path, metavar="RECIPE.toml", help="what to train, and how")
    parser.add_argument("-o", "--output", type=Path, help="folder of the run; default: runs/PRESET-WEIGHTS")
    add_data_argument(parser)
    parser.add_argument(
        "--resume", action="store_true", help="go on with the run in the output folder, if there is one"
    )
    parser.add_argument(
        "--publish", type=Path, metavar="FOLDER", help="folder of presets to add the weights to, with recipe and card"
    )


def run(arguments):
    """Trains, tells each epoch in a line, and says where the weights are."""
    start_backend()
    from recalib_keras.training import Recipe, publish, train

    recipe = Recipe.read(arguments.recipe)
    folder = arguments.output or Path("runs") / f"{recipe.preset}-{recipe.weights}"
    weight_set = train(
        recipe, folder, arguments.data, resume=arguments.resume, on_epoch=_report(recipe.schedule.epochs)
    )
    preset = publish(recipe, arguments.recipe, weight_set, folder, arguments.publish or folder)
    print(f"mean Dice {weight_set.score['dice']:.4f} on {weight_set.score['scans']}; preset written to {preset}")


def _report(epochs):
    def report(line):
        dice = f"  dice {line['dice']:.4f} ± {line['dice_sd']:.4f}" if "dice" in line else ""
        print(f"epoch {line['epoch']}/{epochs}  loss {line['loss']:.4f}{dice}  {line['seconds']:.0f} s", flush=True)

    return report
