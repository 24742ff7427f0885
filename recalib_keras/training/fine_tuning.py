"""Start a training from pretrained weights."""

from recalib_keras import zoo
from recalib_keras.zoo import weights as zoo_weights


def start_from(model, recipe) -> None:
    """Sets a fresh network's weights from the preset that its recipe names, and freezes what it says.

    The classifier starts anew unless the preset's labels are the recipe's, names and order alike, and its layers too.
    Recalibration blocks may be put into a network that was trained without any, if they start as the identity
    (`recalibration_args = { use_identity_start = true }`): at first it then does what it did before.

    Args:
        model: `keras.Model` of the recipe.
        recipe: `Recipe` with an `init`.

    Raises:
        ValueError: for an unknown preset or weight set.
        WeightsError: if the network is not the preset's; lists what differs.
    """
    settings = recipe.fine_tuning
    described = zoo.weight_set(recipe.init, settings.weights)
    tensors = described.read_weights()
    same_labels = [label.name for label in described.labels] == [label.name for label in recipe.labels]
    same_head = _head(tensors) == _head(v.path for v in model.weights)
    new_parts = [] if same_labels and same_head else [zoo_weights.is_head]
    if _starts_as_identity(recipe.network) and not any(map(zoo_weights.is_block, tensors)):
        new_parts.append(zoo_weights.is_block)
    zoo_weights.assign(model, tensors, skip=lambda path: any(is_part(path) for is_part in new_parts))
    if settings.freeze_encoder:
        for layer in model.layers:
            if layer.name.startswith("encoder_"):
                layer.trainable = False


def _starts_as_identity(network):
    return bool((network.arguments.get("recalibration_args") or {}).get("use_identity_start"))


def _head(paths):
    return {path for path in paths if zoo_weights.is_head(path)}
