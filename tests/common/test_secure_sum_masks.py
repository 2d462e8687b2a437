"""Masks: the bytes they are, that they look like noise, and what they are bound to."""

import hashlib
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

from common.secure_sum.masks import add_masks, check_value
from common.secure_sum.messages import Masked
from common.secure_sum.terms import Terms
from tests.common.secure_sum_run import Run, agreement_of, names, scales_for, started


def vectors(run: Run, size: int, round_number: int = 1, question: str = "question") -> dict[str, bytes]:
    """The masked zeros of all hospitals, as bytes."""
    zeros = {hospital: {"x": np.zeros(size)} for hospital in run.agreement.hospitals}
    scales = scales_for(zeros)
    masked = run.mask(zeros, scales, round_number, question)
    terms = Terms(run.agreement, round_number, question, scales)
    return {hospital: Masked.from_bytes(packed, terms).vector.tobytes() for hospital, packed in masked.items()}


def test_the_keystream_is_chacha20() -> None:
    # The keystream of the zero key, nonce and counter: RFC 8439, appendix A.1, vectors 1 and 2.
    vector = np.zeros(16, dtype="<u8")
    add_masks(vector, [bytes(32)])
    assert vector.tobytes().hex() == (
        "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7"
        "da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586"
        "9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed"
        "29b721769ce64e43d57133b074d839d531ed1f28510afb45ace10a1f4b794d6f"
    )


def test_a_mask_added_and_subtracted_leaves_the_vector() -> None:
    vector = np.random.default_rng(1).integers(0, 2**64, 100_000, dtype="<u8")
    copy = vector.copy()
    add_masks(copy, [b"a" * 32, b"b" * 32], [b"c" * 32])
    assert (copy != vector).mean() > 0.999
    add_masks(copy, [b"c" * 32], [b"b" * 32, b"a" * 32])
    assert np.array_equal(copy, vector)


def test_fixed_keys_give_the_bytes_they_always_gave() -> None:
    run, _ = started(4)
    answers = {h: {"x": np.arange(5.0) * place} for place, h in enumerate(run.agreement.hospitals)}
    scales = scales_for(answers)
    masked = run.mask(answers, scales)
    assert {h: hashlib.sha256(packed).hexdigest()[:16] for h, packed in masked.items()} == {
        "hospital-000": "99083b51818e8e71",
        "hospital-001": "0862340fba944605",
        "hospital-002": "c287d29992e9caaf",
        "hospital-003": "566bd76ab9670c40",
    }
    terms = Terms(run.agreement, 1, "question", scales)
    vector = Masked.from_bytes(masked["hospital-000"], terms).vector
    assert vector.tobytes().hex() == (  # of zeros: this is the sum of its four masks
        "ebee62e30b42dce1529c7c05b18eb25857f3ebe42fc42c4177380f466c8978a4e14d4a3b559679cdc044c86df37bd75c"
    )


def test_masked_bytes_look_uniform() -> None:
    run, _ = started(3)
    for masked in vectors(run, 50_000).values():
        counts = np.bincount(np.frombuffer(masked, dtype=np.uint8), minlength=256)
        expected = len(masked) / 256
        statistic = ((counts - expected) ** 2 / expected).sum()
        assert chi2.ppf(1e-6, 255) < statistic < chi2.ppf(1 - 1e-6, 255)
        # So do whole numbers: the highest bit and the lowest are fair coins.
        whole = np.frombuffer(masked, dtype="<u8")
        for bit in (0, 63):
            assert abs(((whole >> np.uint64(bit)) & np.uint64(1)).mean() - 0.5) < 0.015


def test_equal_answers_in_two_rounds_or_of_two_hospitals_share_no_block() -> None:
    run, _ = started(3)
    streams = [*vectors(run, 4000).values(), *vectors(run, 4000, 2, "another question").values()]
    blocks = Counter(stream[at : at + 16] for stream in streams for at in range(0, len(stream) - 15, 8))
    assert blocks.most_common(1)[0][1] == 1


@pytest.mark.parametrize("what", ["study", "run", "roster", "question"])
def test_one_letter_changed_in_what_is_agreed_changes_every_mask(what: str) -> None:
    """The run's secrets stay the same here, so that the binding alone makes the difference."""
    plain = Run(agreement_of(names(4)))
    secrets = {hospital: kept["secret"][-32:] for hospital, kept in plain.kept.items()}
    changed = {
        "study": agreement_of(names(4), study="studz"),
        "run": agreement_of(names(4), run="ruo"),
        "roster": agreement_of((*names(3), "hospital-004")),
        "question": plain.agreement,
    }[what]
    other = Run(changed)
    for hospital in set(plain.agreement.hospitals) & set(changed.hospitals):
        head = other.kept[hospital]["secret"][:-32]
        other.kept[hospital]["secret"] = head + secrets[hospital]
        other.restart(hospital)
    plain.set_up()
    other.set_up()
    before = vectors(plain, 2000)
    after = vectors(other, 2000, question="questioo" if what == "question" else "question")
    for hospital in set(before) & set(after):
        one, two = (np.frombuffer(v[hospital], dtype="<u8") for v in (before, after))
        assert not (one == two).any()


@given(st.integers(1, 70_000), st.data())
def test_no_change_of_one_value_escapes_the_check(size: int, data: st.DataObject) -> None:
    vector = np.arange(size, dtype="<u8")
    place, change = data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, 2**64 - 1))
    before = check_value(vector)[0]
    vector[place : place + 1] += np.uint64(change)
    assert check_value(vector)[0] != before


@given(st.integers(0, 2**32))
def test_checks_add_up_like_values(seed: int) -> None:
    one, two = np.random.default_rng(seed).integers(0, 2**64, (2, 300), dtype="<u8")
    assert (check_value(one) + check_value(two))[0] == check_value(one + two)[0]
