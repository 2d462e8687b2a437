"""How a patch stands beside a patient's columns: columns, then 1 where there is an image, then its voxels."""

from common.study import Study


def packed_width(study: Study) -> int:
    """How many numbers a patient's image adds to the columns; none where the network looks at no images."""
    if study.network is None or not study.network.sees_images or study.patches is None:
        return 0
    z, y, x = study.patches.shape
    return 1 + len(study.patches.channels()) * z * y * x
