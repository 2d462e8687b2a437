"""Grad-CAM (Selvaraju et al. 2017, arXiv:1610.02391): which voxels a network's answer rests on.

With maps A_k and a patient's linear predictor f: ReLU( Σ_k mean(∂f/∂A_k) A_k ), enlarged to the patch. f is taken with
the sign of the answer, so that it is the evidence for what was predicted; a Cox model's is the evidence for risk.
"""

from typing import Literal

import torch
from torch.nn import functional

from common.networks.fusion import Fusion
from common.networks.inputs import Inputs

Toward = Literal["prediction", "risk"]


def grad_cam(network: Fusion, inputs: Inputs, toward: Toward = "prediction") -> torch.Tensor:
    """Patients × z × y × x, not negative; all zeros where nothing in the image speaks for the answer.

    Of several linear predictors, the largest is explained.
    """
    before = network.training
    network.eval()
    try:
        maps = network.encoder.maps(inputs.image).detach().requires_grad_(True)
        lines = network.from_maps(maps, inputs)[:, : network.shapes.outputs]
        if lines.shape[1] > 1:
            explained = lines.max(dim=1).values
        else:
            sign = torch.sign(lines.detach()) if toward == "prediction" else torch.ones_like(lines)
            explained = (sign * lines)[:, 0]
        (gradient,) = torch.autograd.grad(explained.sum(), maps)
    finally:
        network.train(before)
    weights = network.encoder.importance(gradient)
    coarse = functional.relu((weights * maps.detach()).sum(dim=1, keepdim=True))
    fine = functional.interpolate(
        coarse, size=tuple(inputs.image.shape[2:]), mode="trilinear", align_corners=False
    )
    has_image = (inputs.there[:, 0] > 0)[:, None, None, None]
    return torch.where(has_image, fine[:, 0], torch.zeros_like(fine[:, 0]))
