"""The codecs of pictures, laser scans and text."""

from __future__ import annotations

import numpy as np

from il_ros.core.codecs.base import Codec, Decoder, Selected, size_in
from il_ros.core.codecs.fields import FieldsCodec
from il_ros.core.codecs.image import decode_compressed, decode_image
from il_ros.core.codecs.laser_scan import decode_scan
from il_ros.core.specs import ObservationSpec
from il_ros.core.strict_yaml import Section


class ImageCodec(Codec):
    """sensor_msgs/msg/Image; the contract's size and encoding are in `ObservationSpec.image`."""

    observed = True

    def select(self, type_name: str, section: Section) -> Selected:
        """Select nothing: a picture is taken as a whole."""
        return Selected()

    def decoder(self, spec: ObservationSpec) -> Decoder:
        """Return the reader of the picture (H, W, C)."""
        image = spec.image
        assert image is not None
        return lambda message: decode_image(image, message)


class CompressedImageCodec(ImageCodec):
    """sensor_msgs/msg/CompressedImage."""

    def decoder(self, spec: ObservationSpec) -> Decoder:
        """Return the reader of the picture (H, W, C)."""
        image = spec.image
        assert image is not None
        return lambda message: decode_compressed(image, message)


class LaserScanCodec(FieldsCodec):
    """sensor_msgs/msg/LaserScan: `size` beams by angle; with `fields`, single numbers by their paths."""

    commanded = False
    joints = False

    def select(self, type_name: str, section: Section) -> Selected:
        """Read `size`, or `fields`."""
        if "fields" in section:
            return super().select(type_name, section)
        return Selected((), ("ranges",), tuple(f"ranges/{i}" for i in range(size_in(section))))

    def decoder(self, spec: ObservationSpec) -> Decoder:
        """Return the reader of the beams."""
        if spec.fields != ("ranges",):
            return super().decoder(spec)
        return lambda message: decode_scan(message, spec.size, spec.scan)


class TextCodec(Codec):
    """std_msgs/msg/String, as a 0-d array."""

    observed = True

    def select(self, type_name: str, section: Section) -> Selected:
        """Select nothing: a text is taken as a whole."""
        return Selected()

    def decoder(self, spec: ObservationSpec) -> Decoder:
        """Return the reader of the text."""
        return lambda message: np.array(message.data, dtype=np.str_)
