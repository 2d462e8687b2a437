"""Guessing which phase a series is: by what it is called, by its tags, by the time since the contrast agent.

A guess is only what the plan proposes; a person confirms it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from client.cohort.dicom_headers import date_and_time
from client.cohort.image_names import CT, MR, PT, US
from client.cohort.pacs_scan import ScannedVolume

_FEWEST_SLICES = 5
_SAME_ACQUISITION_S = 2.0


@dataclass(frozen=True)
class Guess:
    """A proposal for one volume.

    Parameters
    ----------
    name
        The phase; empty: not to be imported.
    reason
        In words, for the person who confirms.
    """

    name: str
    reason: str


# In this order; the first that fits counts, unless two contrast phases fit.
_CONTRAST: tuple[tuple[str, str], ...] = (
    ("hepatobiliary", r"hepato-?\s?bil|\bhbp\b|\b(15|20|25)\s?min|肝胆"),
    ("transitional", r"transit|移行"),
    ("arterial", r"arter|\bart\b|\bh?ap\b|动脉"),
    ("portal", r"portal|\bpvp?\b|\bvp\b|venous|\bven\b|门脉|门静脉|静脉"),
    ("delayed", r"delay|equilib|\bdp\b|\bdel\b|\b[345]\s?min|延迟|平衡"),
    ("native", r"native|plain|unenh|non-?\s?(contrast|enh)|\bpre\b|\bnc\b|w/?o\b|without|平扫"),
)
_SEQUENCES: tuple[tuple[str, str], ...] = (
    ("adc", r"\badc\b|apparent|dadc"),
    ("dwi", r"dwi|diff|\bb\s?=?\s?\d{2,4}\b|弥散"),
    ("t2", r"t2|haste|ssfse|\btse\b|\bfse\b"),
    ("t1_out", r"t1.*(opp|out)|opp.*phase|out.*phase|\bop\b|反相"),
    ("t1_in", r"t1.*\bin\b|in.?phase|\bip\b|同相"),
    ("t1", r"t1|vibe|lava|thrive|flash|fspgr"),
)
_NOT_WANTED = (
    r"scout|locali[sz]er|survey|topogram|surview|dose|report|screen|\bmip\b|\bmpr\b|\bvr\b|\bvrt\b|\b3d\s?view|sub(traction)?\b"
    r"|\btest\b|bolus|tracking|smart ?prep|premonitor|\bcal(ibration)?\b|定位|剂量"
)
_SHARP = re.compile(
    r"lung|bone|edge|sharp|detail|^b[6-9]\d|^br[6-9]\d|^bl[5-9]\d|^y[c-d]$|fc(5|8)\d", re.IGNORECASE
)


def guess_phases(volumes: Sequence[ScannedVolume]) -> list[Guess]:
    """A proposal for every volume of one examination, in the order given."""
    guesses = [_by_itself(volume) for volume in volumes]
    _by_order(volumes, guesses)
    _one_reconstruction(volumes, guesses)
    _number_repeats(volumes, guesses)
    return guesses


def _text(volume: ScannedVolume) -> str:
    header = volume.files[0].header
    parts = (header.get(tag, "") for tag in ("SeriesDescription", "ProtocolName", "SequenceName"))
    return " ".join(str(part or "") for part in parts).casefold().replace("_", " ")


def _by_itself(volume: ScannedVolume) -> Guess:
    header = volume.files[0].header
    text = _text(volume)
    kind = {str(word).upper() for word in header.get("ImageType") or ()}
    if volume.modality == US:
        contrast = re.search(r"ceus|contrast|造影", text)
        return Guess("ceus", "its name") if contrast else Guess("us", "the modality")
    if "LOCALIZER" in kind or re.search(_NOT_WANTED, str(header.get("SeriesDescription", "")).casefold()):
        return Guess("", "a localiser, reformat or report")
    if volume.modality == PT:
        return Guess("pet", "the modality")
    if volume.slices < _FEWEST_SLICES:
        return Guess("", f"only {volume.slices} slices")
    if "DERIVED" in kind and "ADC" in kind:
        return Guess("adc", "the image type")
    if not _axial(volume):
        return Guess("", "not an axial series")
    phases = [name for name, words in _CONTRAST if re.search(words, text)]
    if volume.modality == MR:
        sequences = [name for name, words in _SEQUENCES if re.search(words, text)]
        if sequences and sequences[0] in ("adc", "dwi", "t2"):
            return _sequence(volume, sequences[0])
        if len(phases) == 1:
            return Guess(phases[0], "its name")
        if sequences:
            return Guess(sequences[0], "its name")
        return _by_timing(volume) or Guess("mr", "the modality: say which sequence this is")
    if len(phases) == 1:
        return Guess(phases[0], "its name")
    return _by_timing(volume) or Guess("ct", "")


def _sequence(volume: ScannedVolume, name: str) -> Guess:
    value = volume.files[0].header.get("DiffusionBValue")
    if name == "dwi" and value is not None:
        return Guess(f"dwi_b{round(float(value))}", "its b value")
    return Guess(name, "its name")


def _axial(volume: ScannedVolume) -> bool:
    orientation = volume.files[0].header.get("ImageOrientationPatient")
    if orientation is None:
        return True
    row, column = np.array([float(part) for part in orientation]).reshape(2, 3)
    return bool(abs(np.cross(row, column)[2]) > 0.7)


def _by_timing(volume: ScannedVolume) -> Guess | None:
    """By the seconds since the contrast agent was given, where the scanner noted it."""
    header = volume.files[0].header
    if volume.acquired is None or not header.get("ContrastBolusStartTime"):
        return None
    given = date_and_time(volume.acquired.strftime("%Y%m%d"), str(header.ContrastBolusStartTime))
    if given is None:
        return None
    seconds = (volume.acquired - given).total_seconds()
    reason = f"{seconds:.0f} s after the contrast agent"
    bounds = ((0, "native"), (50, "arterial"), (110, "portal"), (900, "delayed"))
    for limit, name in bounds:
        if seconds < limit:
            return Guess(name, reason)
    return Guess("hepatobiliary" if volume.modality == MR else "delayed", reason)


def _by_order(volumes: Sequence[ScannedVolume], guesses: list[Guess]) -> None:
    """CT that no name and no time explains: by whether contrast was given, and by the order of acquisitions."""
    acquisitions: list[list[int]] = []
    for at, guess in enumerate(guesses):
        if guess.name != "ct":
            continue
        if acquisitions and _same_acquisition(volumes[acquisitions[-1][0]], volumes[at]):
            acquisitions[-1].append(at)
        else:
            acquisitions.append([at])
    taken = {guess.name for guess in guesses}
    enhanced = [group for group in acquisitions if volumes[group[0]].files[0].header.get("ContrastBolusAgent")]
    for group in acquisitions:
        if enhanced and group not in enhanced:
            _say(guesses, group, Guess("native", "no contrast agent in the tags"))
    unknown = enhanced or acquisitions
    if len(unknown) == 1:
        reason = "usually portal, please look" if enhanced else "nothing tells the phase, please look"
        name = "portal" if enhanced and "portal" not in taken else "ct"
        _say(guesses, unknown[0], Guess(name, f"the only series of its kind: {reason}"))
        return
    names = [name for name in ("arterial", "portal", "delayed") if name not in taken]
    if not enhanced and len(unknown) > len(names) and "native" not in taken:
        names = ["native", *names]
    for number, group in enumerate(unknown):
        name = names[number] if number < len(names) else ""
        _say(guesses, group, Guess(name, "the order of the acquisitions, please look"))


def _say(guesses: list[Guess], group: list[int], guess: Guess) -> None:
    for at in group:
        guesses[at] = guess


def _same_acquisition(first: ScannedVolume, second: ScannedVolume) -> bool:
    if first.modality != CT or second.modality != CT or first.acquired is None or second.acquired is None:
        return False
    return abs((second.acquired - first.acquired).total_seconds()) <= _SAME_ACQUISITION_S


def _one_reconstruction(volumes: Sequence[ScannedVolume], guesses: list[Guess]) -> None:
    """Of several reconstructions of one CT acquisition the thinnest with a soft kernel is proposed."""
    for at, volume in enumerate(volumes):
        if not guesses[at].name:
            continue
        twins = [
            other
            for other in range(len(volumes))
            if guesses[other].name == guesses[at].name
            and (other == at or _same_acquisition(volume, volumes[other]))
        ]
        best = min(twins, key=lambda twin: _roughness(volumes[twin]))
        for twin in twins:
            if twin != best:
                guesses[twin] = Guess("", f"another reconstruction of {guesses[best].name}")


def _roughness(volume: ScannedVolume) -> tuple[bool, float, str]:
    header = volume.files[0].header
    kernel = header.get("ConvolutionKernel", "")
    sharp = _SHARP.search(kernel if isinstance(kernel, str) else str((kernel or [""])[0]))
    return sharp is not None, float(header.get("SliceThickness") or 99), volume.series


def _number_repeats(volumes: Sequence[ScannedVolume], guesses: list[Guess]) -> None:
    """A phase that comes twice: ultrasound pictures are numbered, of volumes the one with most slices is proposed."""
    for name in {guess.name for guess in guesses} - {""}:
        same = [at for at, guess in enumerate(guesses) if guess.name == name]
        if len(same) == 1:
            continue
        if volumes[same[0]].modality == US:
            for number, at in enumerate(same[1:], start=2):
                guesses[at] = replace(guesses[at], name=f"{name}_{number}")
            continue
        best = max(same, key=lambda at: volumes[at].slices)
        for at in same:
            if at != best:
                guesses[at] = Guess("", f"another series looks like {name} and has no fewer slices")
