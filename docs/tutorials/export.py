# %% [markdown]
# # Export a network, and run it without Keras
#
# For a scanner's computer, a web server or a phone: ONNX, OpenVINO, LiteRT or a SavedModel. Each export is run in its
# runtime and compared with Keras before it is written. You need:
#
#     pip install "recalib-keras[hippocampus,onnx]"

# %% [markdown]
# ## Export

# %%
from recalib_keras import export

certificate = export.onnx("unet3d_pe", "unet3d_pe.onnx", weights="hippocampus")
print(certificate.agreement.largest_difference, certificate.agreement.same_labels)

# %% [markdown]
# In a shell: `recalib export unet3d_pe --weights hippocampus -o unet3d_pe.onnx`. A `keras.Model` or a `.keras` file of
# yours is exported in the same way.
#
# ## What the runtime needs to know
#
# Beside the file lies a certificate: what the network expects to see, and what its outputs mean.

# %%
print(certificate.input)
print([label["name"] for label in certificate.labels])

# %% [markdown]
# ## Run it
#
# No Keras and no TensorFlow from here on.

# %%
import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession("unet3d_pe.onnx", providers=["CPUExecutionProvider"])
window = np.random.default_rng(0).normal(size=(1, 40, 56, 40, 1)).astype("float32")
(probabilities,) = session.run(None, {session.get_inputs()[0].name: window})
print(probabilities.shape)

# %% [markdown]
# [Networks for other runtimes](../export.md) has the formats, the options, and how well each agrees with Keras.
