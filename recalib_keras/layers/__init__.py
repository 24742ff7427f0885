"""Recalibration blocks, and the layers that segmentation networks need but Keras does not have."""

from recalib_keras.layers.cbam import CBAM
from recalib_keras.layers.channel_se import ChannelSE
from recalib_keras.layers.channel_spatial_se import ChannelSpatialSE
from recalib_keras.layers.normalization import FoldedBatchNormalization, InstanceNormalization
from recalib_keras.layers.project_excite import ProjectExcite
from recalib_keras.layers.recalibration import Recalibration
from recalib_keras.layers.resizing import MaxPooling3D, MaxPoolingWithIndices, MaxUnpooling, UpSampling
from recalib_keras.layers.seg_se import SegSE
from recalib_keras.layers.space_to_depth import DepthToSpace, SpaceToDepth
from recalib_keras.layers.spatial_se import SpatialSE

__all__ = [
    "CBAM",
    "ChannelSE",
    "ChannelSpatialSE",
    "DepthToSpace",
    "FoldedBatchNormalization",
    "InstanceNormalization",
    "MaxPooling3D",
    "MaxPoolingWithIndices",
    "MaxUnpooling",
    "ProjectExcite",
    "Recalibration",
    "SegSE",
    "SpaceToDepth",
    "SpatialSE",
    "UpSampling",
]
