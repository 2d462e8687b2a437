"""Where a network looks: shares that add up, and pictures that stay in the hospital's own folder."""

import io
import stat
from pathlib import Path

import numpy as np
from PIL import Image

from client.patches.attention import attention_shares
from client.patches.overlay import overlay, write_overlay
from client.patches.patch import RING, TUMOUR, Patch


def patch() -> Patch:
    axes = np.stack(np.meshgrid(*[np.arange(16) - 7.5] * 3, indexing="ij"))
    away = np.linalg.norm(axes, axis=0)
    masks = np.stack([away <= 3, (away > 3) & (away <= 6)])
    return Patch(np.zeros((1, 16, 16, 16), np.float16), masks)


def test_even_attention_is_chance_and_attention_on_the_ring_is_all_on_the_ring() -> None:
    given = patch()
    heat = np.stack([np.ones((16, 16, 16)), given.masks[RING] * 2.0, np.zeros((16, 16, 16))]).astype(np.float32)
    shares, volumes = attention_shares(heat, [given] * 3)
    np.testing.assert_allclose(shares[0], volumes[0], rtol=1e-6)
    np.testing.assert_allclose(volumes.sum(axis=1), 1)
    np.testing.assert_allclose(shares[1], [0, 1, 0])
    assert np.isnan(shares[2]).all()


def test_a_picture_shows_the_hot_slice_with_its_outlines(tmp_path: Path) -> None:
    given = patch()
    heat = np.zeros((16, 16, 16))
    heat[9, 2, 12] = 1.0
    path = write_overlay(tmp_path / "own" / "attention", "P1", overlay(given, heat))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    picture = np.asarray(Image.open(io.BytesIO(path.read_bytes())))
    assert picture.shape == (320, 320, 3)
    np.testing.assert_array_equal(picture[0, 0], 128)
    hot = picture[2 * 20 + 10, 12 * 20 + 10]
    assert hot[0] > 180 > hot[2] + 80
    middle = picture[:, 160].tolist()
    assert [230, 60, 50] in middle  # the tumour's outline
    assert [255, 190, 40] in middle  # the ring's
    assert given.masks[TUMOUR, 9].any()
