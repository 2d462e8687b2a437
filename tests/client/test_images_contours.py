"""Contours to voxels: against an independent implementation, and what must hold for every polygon."""

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.path import Path as Polygon

from client.cohort.findings import ImageFault
from client.cohort.grids import Grid
from client.cohort.rtstruct import fill_contours, fill_polygon

ROWS, COLUMNS = 17, 23
_coordinate = st.integers(-40, 260).map(lambda tenth: tenth / 10)
_polygon = st.lists(st.tuples(_coordinate, _coordinate), min_size=3, max_size=12).map(np.array)


def _even_odd(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Crossing numbers, pixel by pixel; and the pixels whose centre lies on an edge, where rounding decides."""
    inside = np.zeros((ROWS, COLUMNS), dtype=np.uint8)
    on_edge = np.zeros((ROWS, COLUMNS), dtype=bool)
    for row in range(ROWS):
        for column in range(COLUMNS):
            crossings = 0
            for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, axis=0), strict=True):
                if (y0 >= row) != (y1 >= row):
                    crossing = x0 + (row - y0) / (y1 - y0) * (x1 - x0)
                    crossings += column < crossing
                    on_edge[row, column] |= abs(column - crossing) < 1e-9
            inside[row, column] = crossings % 2
    return inside, on_edge


@given(_polygon)
@settings(max_examples=60, deadline=None)
def test_any_polygon_is_filled_as_crossing_numbers_say(points: np.ndarray) -> None:
    points = points + np.array([0.037, 0.053])  # no corner on a line of centres
    inside, on_edge = _even_odd(points)
    assert ((fill_polygon(points, ROWS, COLUMNS) == inside) | on_edge).all()


def test_a_simple_polygon_is_filled_as_matplotlib_says() -> None:
    angles = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    points = np.stack([11.1 + 8.3 * np.cos(angles), 8.2 + 6.4 * np.sin(angles)], axis=1)
    centres = np.stack(np.meshgrid(np.arange(COLUMNS), np.arange(ROWS)), axis=-1).reshape(-1, 2)
    expected = Polygon(np.vstack([points, points[:1]])).contains_points(centres).reshape(ROWS, COLUMNS)
    assert np.array_equal(fill_polygon(points, ROWS, COLUMNS), expected.astype(np.uint8))


@given(
    st.tuples(st.integers(1, 15), st.integers(1, 10)),
    st.tuples(st.integers(1, 21), st.integers(1, 15)),
)
def test_polygons_that_share_a_border_share_no_voxel_and_leave_none_out(
    first: tuple[int, int], second: tuple[int, int]
) -> None:
    corners = np.array([(0, 0), (22, 0), (22, 16), (0, 16)], dtype=float)
    inner = np.array([*first], dtype=float), np.array([*second], dtype=float)
    middle = (inner[0] + inner[1]) / 2  # often on a pixel's centre or on a line of centres
    if not (0 < middle[0] < 22 and 0 < middle[1] < 16):
        return
    pieces = [
        fill_polygon(np.array([corners[at], corners[(at + 1) % 4], middle]), ROWS, COLUMNS).astype(int)
        for at in range(4)
    ]
    whole = fill_polygon(corners, ROWS, COLUMNS)
    assert np.array_equal(sum(pieces), whole)


@given(_polygon, st.integers(0, 11))
@settings(deadline=None)
def test_neither_direction_nor_first_corner_matters(points: np.ndarray, shift: int) -> None:
    filled = fill_polygon(points, ROWS, COLUMNS)
    assert np.array_equal(fill_polygon(points[::-1], ROWS, COLUMNS), filled)
    assert np.array_equal(fill_polygon(np.roll(points, shift, axis=0), ROWS, COLUMNS), filled)


def _square(low: float, high: float) -> np.ndarray:
    return np.array([(low, low), (high, low), (high, high), (low, high)])


def _grid() -> Grid:
    image = sitk.Image([20, 18, 6], sitk.sitkUInt8)
    image.SetSpacing((0.7, 0.7, 4.0))
    image.SetOrigin((-30.0, 12.0, 100.0))
    turn = np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]]) @ np.array(
        [[1, 0, 0], [0, 0.96, -0.28], [0, 0.28, 0.96]]
    )
    image.SetDirection(turn.ravel().tolist())
    return Grid.of(image)


def _in_patient(grid: Grid, points: np.ndarray, height: float) -> np.ndarray:
    return grid.position_mm(np.column_stack([points, np.full(len(points), height)]))


def test_holes_and_keyholes_on_an_oblique_grid() -> None:
    grid = _grid()
    outer, inner = _square(2.5, 14.5), _square(5.5, 9.5)
    with_hole = fill_contours([_in_patient(grid, outer, 3), _in_patient(grid, inner, 3)], grid)
    keyhole = np.vstack([outer, outer[:1], inner[::-1], inner[-1:]])
    assert with_hole.sum() == 12 * 12 - 4 * 4
    assert with_hole[3].sum() == with_hole.sum()
    assert np.array_equal(fill_contours([_in_patient(grid, keyhole, 3)], grid), with_hole)


def test_a_contour_between_two_slices_is_refused() -> None:
    grid = _grid()
    with pytest.raises(ImageFault, match=r"from slice 3\.50 to 3\.50"):
        fill_contours([_in_patient(grid, _square(2, 9), 2.5)], grid)
    with pytest.raises(ImageFault, match="1 of 1 contours lie above or below"):
        fill_contours([_in_patient(grid, _square(2, 9), 8.0)], grid)
    tilted = _in_patient(grid, _square(2, 9), 2.0)
    tilted[0] += 3
    with pytest.raises(ImageFault, match="another plane"):
        fill_contours([tilted], grid)
