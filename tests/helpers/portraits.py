"""Pictures of other packages, at test time only: two portraits in the public domain, and some without a face."""

from functools import cache

import matplotlib.cbook
import numpy as np
import skimage.data
from PIL import Image

from emotalk_avatar.face import Picture


@cache
def portrait(name):
    """Return ``astronaut`` (NASA) or ``hopper`` (US Navy), or ``cat``, ``coffee``, ``cameraman`` as a Picture."""
    if name == "hopper":
        with Image.open(matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)) as image:
            pixels = np.asarray(image.convert("RGB"))
    elif name == "cameraman":
        pixels = np.repeat(skimage.data.camera()[..., None], 3, axis=2)
    else:
        pixels = getattr(skimage.data, name)()
    return Picture(np.ascontiguousarray(pixels))
