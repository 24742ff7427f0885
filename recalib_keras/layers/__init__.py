"""Recalibration blocks, and the layers that segmentation networks need and Keras lacks."""

from recalib_keras.layers.batch_normalization import BatchNormalization
from recalib_keras.layers.cbam import CBAM
from recalib_keras.layers.channel_se import ChannelSE
from recalib_keras.layers.channel_spatial_se import ChannelSpatialSE
from recalib_keras.layers.index_pooling import MaxPoolingWithIndices, MaxUnpooling
from recalib_keras.layers.instance_normalization import InstanceNormalization
from recalib_keras.layers.project_excite import ProjectExcite
from recalib_keras.layers.recalibration import Recalibration
from recalib_keras.layers.seg_se import SegSE
from recalib_keras.layers.space_to_depth import DepthToSpace, SpaceToDepth
from recalib_keras.layers.spatial_se import SpatialSE
from recalib_keras.layers.up_sampling import UpSampling

__all__ = [
    "CBAM",
    "BatchNormalization",
    "ChannelSE",
    "ChannelSpatialSE",
    "DepthToSpace",
    "InstanceNormalization",
    "MaxPoolingWithIndices",
    "MaxUnpooling",
    "ProjectExcite",
    "Recalibration",
    "SegSE",
    "SpaceToDepth",
    "SpatialSE",
    "UpSampling",
]
