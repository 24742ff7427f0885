"""Segmentation networks that carry recalibration blocks, in 2-D and 3-D."""

from recalib_keras.models.densenet import DenseNet
from recalib_keras.models.encoder_decoder import POSITIONS, RECALIBRATIONS, EncoderDecoder
from recalib_keras.models.sdnet import SDNet
from recalib_keras.models.unet import UNet

__all__ = ["POSITIONS", "RECALIBRATIONS", "DenseNet", "EncoderDecoder", "SDNet", "UNet"]
