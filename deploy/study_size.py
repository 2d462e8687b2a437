"""`hepafed study check --size`: is a study large enough, in words, before anything but the roll call is asked."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from common.dimension import columns_allowed
from common.errors import HepafedError
from common.outcomes import SurvivalOutcome
from common.query import LEAVE_OUT
from common.room import Room, Seat
from common.splits import APPARENT, FINAL, splits_of
from common.study import Study
from deploy.simulation.grid import OneProcessGrid
from deploy.simulation.simulate import Simulation, find_hospitals, hospitals_app
from deploy.study_words import columns_of_the_model
from server.evaluation.sample_size import FEWEST_FOR_PRIVACY, FollowUp, Kind, SampleSize, sample_size
from server.hospitals import Hospitals
from server.methods.pipeline import design_columns
from server.progress import Silence
from server.roll_call import Present, roll_call

DAYS_A_YEAR = 365.25
FEWEST_EVENTS_A_PARAMETER = 10  # Peduzzi et al. 1996, doi:10.1016/S0895-4356(96)00236-3
PRIVACY = (
    "measured: 5 hospitals of 100 patients lose nothing of an AUC of 0.731 at ε = 2 and 0.013 at ε = 1; 3 of 50 lose "
    "0.039 of 0.699 at ε = 2 and 0.073 at ε = 1"
)


def counted_seats(counts: Sequence[str]) -> Room:
    """Seats of hospitals given as `patients,events`."""
    seats = []
    for number, text in enumerate(counts, start=1):
        patients, comma, events = text.partition(",")
        if not comma or not patients.strip().isdecimal() or not events.strip().isdecimal():
            raise HepafedError(f"--counts {text}: give patients and events of one hospital, e.g. --counts 80,31")
        if int(events) > int(patients):
            raise HepafedError(f"--counts {text}: more events than patients; patients come first")
        seats.append(Seat(hospital=f"hospital-{number}", patients=int(patients), events=int(events)))
    return Room(tuple(seats))


def call_the_roll(study: Study, sites: Path) -> Present:
    """The roll call of hospitals' folders on this machine; what the hospitals keep of it is deleted."""
    with TemporaryDirectory(prefix="hepafed-size-") as temporary:
        simulation = Simulation(study, find_hospitals(sites), Path(temporary))
        with closing(OneProcessGrid(hospitals_app(simulation), list(simulation.folders))) as grid:
            return roll_call(Hospitals(grid, 60 * study.lost_hospital.wait_minutes, Silence()), study, None)


def parameters_of(study: Study, present: Present | None, given: int | None) -> int:
    """Candidate parameters: as given, or the columns of the design."""
    if given is not None:
        return given
    columns = len(design_columns(study, present.features)) if present else columns_of_the_model(study)
    if columns is None:
        raise HepafedError(
            "how many features there are depends on the hospitals: give --candidates NUMBER, or --sites FOLDER"
        )
    return columns


def follow_up_of(
    study: Study, present: Present | None, years: float | None, horizon: float | None
) -> FollowUp | None:
    """Years of follow-up as given, or the hospitals' medians weighted by patients; None without a horizon."""
    if not isinstance(study.outcome, SurvivalOutcome) or horizon is None:
        return None
    if years is None and present is not None:
        told = [
            (figures.medians[study.outcome.time], figures.patients or 0)
            for figures in present.disclosed.values()
            if study.outcome.time in figures.medians
        ]
        if told:
            years = sum(m * n for m, n in told) / sum(n for _, n in told) / DAYS_A_YEAR
    return None if years is None else FollowUp(years, horizon)


def size_in_words(
    study: Study, room: Room, parameters: int, r_squared: float | None, follow_up: FollowUp | None
) -> list[tuple[str, str]]:
    """What `--size` says: pairs of a heading and a text, the advice last."""
    if study.outcome.kind == "horizon":
        raise HepafedError(
            "--size: how many patients an event at a horizon takes depends on who will be lost before it, which is not "
            "worked out here; judge the same study with an outcome of kind: survival"
        )
    kind: Kind = "survival" if study.outcome.kind == "survival" else "binary"
    training = room.judged(study, APPARENT)
    events, guessed = _events(training)
    if not 0 < events < training.patients:
        raise HepafedError(
            f"{events} events among {training.patients} patients to train on: a model needs patients of both kinds"
        )
    try:
        found = sample_size(kind, training.patients, events, parameters, r_squared=r_squared, follow_up=follow_up)
    except ValueError as error:
        raise HepafedError(f"the size cannot be judged: {error}") from None
    smallest = _smallest_row_set(study, room)
    widest = max(0, columns_allowed(smallest))
    said = [
        ("Patients", _patients(room, training, events, guessed)),
        ("Parameters", f"{parameters} candidate parameters: every column that is tried, chosen or not"),
        ("Events", f"{found.events_per_variable:.1f} {_counted(found)} a candidate parameter"),
        (
            "Dimension",
            f"{smallest} patients in the smallest set of rows (trained on, held out, or a hospital left out): "
            f"{widest} columns in one cross-product at most",
        ),
        (
            "Riley",
            f"with R² = {found.r_squared:.3f} of at most {found.highest_r_squared:.3f}"
            f"{'' if r_squared is not None else ' (15 % of it, as nothing is known: give --r-squared)'}\n"
            + "\n".join(f"{c.name}: {c.needed:,} patients ({c.meaning})" for c in found.criteria)
            + (
                "\noverall risk: give --horizon and --follow-up years"
                if kind == "survival" and not follow_up
                else ""
            ),
        ),
        ("Privacy", _privacy(training.patients)),
        ("What to do", "\n".join(_advice(study, found, widest))),
    ]
    return said


def _events(room: Room) -> tuple[int, list[str]]:
    """Events in total; where a hospital's are suppressed, as many as the others' share makes of its patients."""
    told = [seat for seat in room.seats if seat.events is not None]
    known, patients = sum(seat.events or 0 for seat in told), sum(seat.patients for seat in told)
    share = known / patients if patients else 0.5
    silent = [seat for seat in room.seats if seat.events is None]
    return known + round(share * sum(seat.patients for seat in silent)), [seat.hospital for seat in silent]


def _patients(room: Room, training: Room, events: int, guessed: list[str]) -> str:
    said = f"{training.patients:,} of {len(training.seats)} hospitals, {events:,} with the event"
    if guessed:
        said += f" (as in the others for {', '.join(guessed)}, where fewer than five have it or have it not)"
    sealed = room.patients - training.patients
    return said + (f"; {sealed:,} at sealed external hospitals, not to train on" if sealed else "")


def _counted(found: SampleSize) -> str:
    return "events" if found.kind == "survival" or found.smaller == found.events else "patients without the event"


def _privacy(patients: int) -> str:
    if patients >= FEWEST_FOR_PRIVACY:
        return f"noise for ε ≈ 2 is affordable with {patients:,} patients ({PRIVACY})"
    return (
        f"noise for ε ≈ 2 is realistic from about {FEWEST_FOR_PRIVACY} patients, here are {patients:,} ({PRIVACY})"
    )


def _smallest_row_set(study: Study, room: Room) -> int:
    """What hospitals' gates hold cross-products against: differences of two totals are row sets, too."""
    splits = splits_of(study, room.names)
    left_out = [split for split in splits if split.startswith(LEAVE_OUT)]
    folds = [split for split in splits if split != FINAL and split not in left_out]
    row_sets = [room.fewest(study, split, training=True) for split in splits]
    row_sets += [room.fewest(study, split, training=False) for split in folds]
    return min(row_sets + [seat.patients for seat in room.seats if left_out])


def _advice(study: Study, found: SampleSize, widest: int) -> list[str]:
    """What to do, the most urgent first."""
    said = []
    if found.parameters > widest:
        said.append(
            f"{found.parameters} columns do not fit into one cross-product of {widest}: name at most {widest} "
            "predictors, or let screening inside the folds choose as many"
        )
    if found.needed > found.patients:
        said.append(
            f"{found.needed:,} patients are asked for and {found.patients:,} are there: add hospitals, or try at most "
            f"{found.most_parameters} candidate parameters"
        )
    if found.events_per_variable < FEWEST_EVENTS_A_PARAMETER and study.model.penalty == "none":
        said.append(
            f"fewer than {FEWEST_EVENTS_A_PARAMETER} {_counted(found)} a parameter and no penalty: take model.penalty: "
            "ridge, and expect predicted risks that are too extreme"
        )
    return said or ["large enough by all of these; the model's calibration slope will show whether R² was met"]
