# %% [markdown]
# # Put blocks into a network
#
# A recalibration block weighs a feature map by gates computed from it. It is a plain Keras layer for any number of
# spatial axes, and runs on TensorFlow, JAX and PyTorch. [The blocks](../blocks.md) explains what each one does. You
# need:
#
#     pip install recalib-keras

# %% [markdown]
# ## Into your own network
#
# A block takes a feature map `(batch, *spatial, channels)` and returns one of the same shape.

# %%
import keras

from recalib_keras import layers, models

image = keras.Input((32, 32, 16, 1))
x = keras.layers.Conv3D(16, 3, padding="same", activation="relu")(image)
x = layers.ProjectExcite(reduction_ratio=2)(x)
x = keras.layers.Conv3D(16, 3, padding="same", activation="relu")(x)
x = layers.ChannelSpatialSE(reduction_ratio=2, aggregation="max")(x)
own = keras.Model(image, keras.layers.Conv3D(3, 1, activation="softmax")(x))

# %% [markdown]
# ## A network that has them already
#
# `UNet`, `SDNet` and `DenseNet` take the name of a block, or your own class. They are 2-D or 3-D by the shape of their
# input.

# %%
unet = models.UNet(
    (None, None, None, 1),
    num_classes=28,
    filters=8,
    levels=2,
    recalibration="scse",
    positions=("encoder", "decoder"),
    recalibration_args={"reduction_ratio": 4},
)
print([layer.name for layer in unet.layers if isinstance(layer, layers.ChannelSpatialSE)])

# %% [markdown]
# ## Into a model of `keras.applications`
#
# `models.graft` puts blocks after chosen layers of any trained model, also of KerasHub or your own. The blocks start
# as the identity, so the output stays exactly the same until you train it. (`weights=None` saves a download here; take
# `weights="imagenet"`.)

# %%
import numpy as np

trained = keras.applications.MobileNetV2((64, 64, 3), alpha=0.35, weights=None, classes=5)
grafted = models.graft(trained, "scse", at="block_*_add", reduction_ratio=4)

picture = keras.random.uniform((1, 64, 64, 3))
print(np.abs(trained(picture) - grafted(picture)).max())  # 0.0
print(grafted.count_params() - trained.count_params(), "parameters more")

# %% [markdown]
# `at` takes a pattern of names, a layer class, a function of a layer, or several of these; layers of nested models are
# found, too. Train the blocks alone at first, if you like:

# %%
models.freeze(grafted, "all")
models.unfreeze(grafted, "*_recalibration")
print(len(grafted.trainable_weights), "trainable weights")

# %% [markdown]
# ## A block of your own
#
# Say what it compresses, and how it processes the result. Networks take the class itself.


# %%
@keras.saving.register_keras_serializable(package="mine")
class PeakGate(layers.Recalibration):  # gates each channel by its largest value
    def build(self, input_shape):
        super().build(input_shape)
        self.expand = self.pointwise(self.channels, name="expand", makes_logits=True)

    def compress(self, inputs):
        return keras.ops.max(inputs, axis=self.spatial_axes, keepdims=True)

    def process(self, descriptor):
        return self.expand(descriptor)


mine = models.UNet((32, 32, 1), num_classes=3, filters=8, levels=2, recalibration=PeakGate)

# %% [markdown]
# ## A look at the gates
#
# Every block returns its gates for a feature map. For one of a network, make a model that ends before it:

# %%
block = unet.get_layer("encoder_1_recalibration")
before = keras.Model(unet.input, block.input)
channel_gates, position_gates = block.gates(before(keras.random.normal((1, 16, 16, 16, 1))))
print(channel_gates.shape, position_gates.shape)

# %% [markdown]
# `recalib evaluate --preset NAME --gates` draws those of a preset on your scans.
#
# Next: [which block, ratio and position](search.py) is best for your data.
