"""What the numbers of a view may be, beside the hospital's own values.

Every step must stay a smooth change of all patients' values: a transform so steep that it is a step function, a
shift so far that rounding becomes one, a fill or a level's factor out of all proportion would single out a row. The
bounds follow from totals: a pooled variance is never less than this hospital's share of the patients times its own
mean square distance from the pooled mean. Honest totals therefore pass, also where
hospitals are far apart; only beyond 1e8 of its own standard deviations does a hospital refuse them.
"""

import numpy as np

from client import harmonise
from client.steps import Fitted
from client.view_bounds import MAXIMUM_COEFFICIENT, refuse
from client.view_rules import LAST
from common.months import SMALLEST_FOLLOWED
from common.privacy_plan import is_private
from common.query import View

STEEPEST_POWER = 0.03
"""Of Yeo–Johnson's scale, in root mean square distances from its location: a share of one patient in a thousand."""
STEEPEST_POWER_UNSEEN = 1e-3
"""The same for a split that leaves this hospital out, whose totals know nothing of it."""
STEEPEST_LOGARITHM = 1e-6
STEEPEST_SCALE = 1e-6
STEEPEST_SCALE_SEEN = 0.03
"""Of own deviations that a total holds: it is never less than the hospital's share of the patients, squared."""
FARTHEST_SCORE = 30.0
"""Log odds from the median patient: a steeper score would be a step between two neighbours."""
NEAR_ENOUGH = 0.75
"""Of the patients lie nearer; a value far out, as of alpha-fetoprotein, may have a score far out."""
FARTHEST_BOUNDED = 1e6
FARTHEST_FILL = 1e6
FARTHEST_SHIFT = 1e8
"""In the hospital's own standard deviations."""
LARGEST_SHIFT = 1e6
SMALLEST_RESCALING, LARGEST_RESCALING = 1e-6, 1e6
SMALLEST_COMPONENT_SCALE = 1e-9
ROUNDING = 1e-9
LAST_DIGITS = 1e-9
MOST_ROUNDS = 1000
"""Of a network's training."""


def check_numbers(view: View) -> None:
    """Bounds that hold at every hospital; shapes were checked before."""
    arrays = view.arrays

    def require(holds: np.ndarray, rule: str) -> None:
        if not holds.all():
            refuse(f"{view.step}: {rule}")

    if view.step == "transform":
        powers, scale = arrays["powers"], arrays["scale"]
        require((powers >= -LAST_DIGITS) & (powers <= 2 + LAST_DIGITS), "powers lie between 0 and 2")
        require(scale > 0, "scales are above 0")
        if view.parameters["kind"] == "signed-log":
            tens = np.log10(scale)
            require(np.abs(tens - np.round(tens)) < LAST_DIGITS, "the scale of a signed log is a power of ten")
            require(arrays["location"] == 0, "a signed log has no location")
            require(powers == 1, "a signed log has no powers")
    elif view.step == "bound":
        require(arrays["high"] > arrays["low"], "bounds rise")
    elif view.step == "scale":
        require(arrays["spread"] >= 0, "spreads are 0 or more")
    elif view.step == "weigh":
        followed = arrays["followed"]
        require(followed[:, 0] == 1, "the curve of being followed starts at 1")
        require(np.diff(followed, axis=1) <= 0, "the curve of being followed rises")
        require(followed >= SMALLEST_FOLLOWED, f"nobody stands for more than {1 / SMALLEST_FOLLOWED:g} patients")
    elif view.step in ("linear", "blend"):
        require(np.abs(arrays["beta"]) <= MAXIMUM_COEFFICIENT, f"coefficients are at most {MAXIMUM_COEFFICIENT:g}")
    elif view.step == "network":
        require(np.abs(arrays["weights"]) <= MAXIMUM_COEFFICIENT, f"weights are at most {MAXIMUM_COEFFICIENT:g}")
        require(
            (arrays["rounds"] >= 0) & (arrays["rounds"] <= MOST_ROUNDS), "rounds of training are whole numbers"
        )
    elif "variance" in arrays:
        constant, patients = arrays["constant"], arrays["patients"]
        changed = (constant == 0) & (np.array(view.parameters["groups"]) >= 0)
        require((constant == 0) | (constant == 1), "constant is 0 or 1")
        require((arrays["variance"] > 0) | ~changed, "the variance of what is not constant is above 0")
        require(patients >= 0, "numbers of patients are 0 or more")
        if view.step == "levels":
            gamma, delta, there = arrays["gamma"], arrays["delta"], changed[:, None, :]
            require(arrays["level_patients"] >= 0, "numbers of patients are 0 or more")
            require((np.abs(gamma) <= LARGEST_SHIFT) | ~there, f"shifts are at most {LARGEST_SHIFT:g}")
            within = (delta >= SMALLEST_RESCALING) & (delta <= LARGEST_RESCALING)
            require(within | ~there, f"factors lie between {SMALLEST_RESCALING:g} and {LARGEST_RESCALING:g}")
        if "component_scale" in arrays:
            require(arrays["component_scale"] >= SMALLEST_COMPONENT_SCALE, "scales of components are above 0")
            require(
                np.abs(arrays["component_mean"]) <= FARTHEST_SHIFT, "means of components are out of proportion"
            )
            require(np.abs(arrays["component_rotation"]) <= 1 + ROUNDING, "a rotation's entries are at most 1")
            require(arrays.get("score_variance", np.zeros(1)) >= 0, "variances are 0 or more")


def check_before(matrix: np.ndarray, fitted: Fitted) -> None:
    """Hold a step's numbers for one split against the values that it is about to change."""
    if fitted.members.guard == "none":
        return
    if is_private(fitted.members.study):
        _check_private_scale(fitted)
        return
    taught = fitted.members.training(fitted.split)
    values = matrix[taught] if taught.any() else matrix
    step = fitted.view.step
    if step == "transform":
        values = values[:, fitted.numbers("features")]
        if fitted.view.parameters["kind"] == "yeo-johnson":
            check_power(values, fitted.array("location"), fitted.array("scale"), seen=bool(taught.any()))
        elif taught.any():
            mean, _, _ = _own(np.abs(values))
            if (fitted.array("scale") < STEEPEST_LOGARITHM * mean).any():
                refuse(
                    f"transform: the scale of a signed log is far below this hospital's values in {fitted.split}"
                )
    elif step == "scale":
        full = fitted.members.guard == "full" and bool(taught.any())
        steepest = STEEPEST_SCALE_SEEN if full else STEEPEST_SCALE
        _check_scale(values, fitted.array("centre"), fitted.array("spread"), steepest)
    elif "grand_mean" in fitted.view.arrays:
        features = matrix[:, fitted.numbers("features")]
        changed = harmonise.parameters_of(fitted).harmonised
        covariates = harmonise.design(matrix, fitted.view.parameters)
        expected = fitted.array("grand_mean") + covariates @ fitted.array("coefficients")
        _check_shift(step, features[:, changed], expected[:, changed])


def check_after(before: np.ndarray, after: np.ndarray, fitted: Fitted) -> None:
    """No step may overflow, lose a value, or fill a gap with what is out of all proportion."""
    if fitted.members.guard == "none" or is_private(fitted.members.study):
        return
    step = fitted.view.step
    if np.isinf(after).any():
        refuse(f"{step}: it makes a value infinite in {fitted.split}")
    if step == "select":
        return
    scores = step in ("linear", "blend") and fitted.members.guard == "full"
    if scores and len(after) and (np.quantile(_from_median(after), NEAR_ENOUGH, axis=0) > FARTHEST_SCORE).any():
        refuse(
            f"{step}: scores of a quarter of the patients lie more than {FARTHEST_SCORE:g} apart in {fitted.split}; "
            "take a stronger penalty"
        )
    lost = np.isnan(after)
    same_columns = after.shape == before.shape and step not in LAST
    if (lost & ~np.isnan(before)).any() if same_columns else lost.any():
        refuse(f"{step}: it makes a value missing that was not in {fitted.split}")
    if step == "impute":
        mean, spread, varies = _own(before)
        filled = np.isnan(before) & ~lost & varies
        if (filled & (np.abs(np.where(filled, after, 0.0) - mean) > FARTHEST_FILL * spread)).any():
            refuse(f"impute: a gap is filled out of all proportion to this hospital's values in {fitted.split}")


def _from_median(scores: np.ndarray) -> np.ndarray:
    distance: np.ndarray = np.abs(scores - np.median(scores, axis=0))
    return distance


def _check_private_scale(fitted: Fitted) -> None:
    """A refusal that looked at own values would tell of them without noise; bounded columns need none."""
    if fitted.view.step != "scale":
        return
    centre, spread = fitted.array("centre"), fitted.array("spread")
    if (np.abs(centre) > FARTHEST_BOUNDED).any() or ((spread > 0) & (spread < STEEPEST_SCALE)).any():
        refuse("scale: out of all proportion to columns between −1 and 1")


def check_power(values: np.ndarray, location: np.ndarray, scale: np.ndarray, *, seen: bool = True) -> None:
    """Refuse a Yeo–Johnson so steep, or so far away, that it would be a step function of these values.

    Parameters
    ----------
    seen
        Whether location and scale come from totals that this hospital's patients are in.
    """
    mean, spread, _ = _own(values)
    distance = np.sqrt(spread**2 + (mean - location) ** 2)
    steepest = STEEPEST_POWER if seen else STEEPEST_POWER_UNSEEN
    # A feature that is constant but for rounding has no scale: it gets 1.
    rounding = (distance <= 1e-6 * np.abs(mean)) & (scale == 1.0)
    if ((scale < steepest * distance) & ~rounding).any():
        refuse("yeo-johnson: a scale is far below this hospital's distance from the location")
    _check_shift("yeo-johnson", values, location)


def _check_scale(values: np.ndarray, centre: np.ndarray, spread: np.ndarray, steepest: float) -> None:
    """A spread of 0 takes a column out; any other must not be far below this hospital's own."""
    _, own, varies = _own(values)
    if ((spread > 0) & varies & (spread < steepest * own)).any():
        refuse("scale: a spread is far below this hospital's own")
    _check_shift("scale", values, np.where(spread > 0, centre, np.nan))


def _check_shift(step: str, values: np.ndarray, shift: np.ndarray) -> None:
    """Subtracting what is very far from all values would round them to a few."""
    mean, own, varies = _own(values)
    far = np.abs(np.where(np.isnan(shift), mean, shift) - mean) > FARTHEST_SHIFT * own
    if (far & varies).any():
        refuse(f"{step}: a column is centred out of all proportion to this hospital's values")


def _own(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean and standard deviation of every column's known values, and whether it varies beyond rounding."""
    known = ~np.isnan(values)
    count = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, values, 0.0).sum(axis=0) / count
    spread: np.ndarray = np.sqrt((np.where(known, values - mean, 0.0) ** 2).sum(axis=0) / count)
    return mean, spread, spread > ROUNDING * np.abs(mean)
