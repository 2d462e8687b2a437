"""A study says how stable its features are, and leaves out those that are not."""

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest

from client.app import Whereabouts
from client.cohort.images_file import ImagesFile
from client.extraction.results import Extraction, Row
from client.extraction_run.kept import open_kept
from client.frozen_harmonisation import harmonise_here
from client.queries import QUERIES
from client.site import open_site
from common.errors import Code, StudyStopped
from common.frozen_model import read_frozen_model
from common.query import Answer, View
from common.study import Study
from deploy.simulation.simulate import Simulation, find_hospitals, simulate
from server.progress import Silence
from server.report.html import render
from server.report.query_words import QUERIES as QUERY_WORDS
from tests.client.test_app import ask, call_roll
from tests.harmonization.test_intraclass import SIZES, pooled_anova
from tests.hospitals_on_disk import study as asked_of
from tests.hospitals_on_disk import write_hospitals
from tests.server.test_results_document import documented, keys_of, pattern

NOISE = {"steady": 0.1, "fair": 0.4, "shaky": 1.5, "loose": 0.1, "rare": 0.1}
NAMES = {name: f"portal_tumour_original_firstorder_{name}" for name in NOISE}
SECOND_READERS = {"alder": 8, "birch": 14, "cedar": 12, "dogwood": 11}
"""`loose` is steady under perturbation and not between readers; `rare` is known at two hospitals."""


def imaged(**stability: Any) -> Study:
    return asked_of(
        predictors={"clinical": ["age"], "radiomics": "all"},
        features={"phases": {"portal": {"modality": "CT"}}, "stability": {"perturbations": 3, **stability}},
        harmonisation={"method": "combat"},
        validation={"folds": 2, "leave_one_hospital_out": False},
    )


def write_imaged(folder: Path, asked: Study) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Hospitals whose stores hold repeated measurements; what perturbations and readers measured, complete ones."""
    rng, features = np.random.default_rng(9), [*NOISE]
    table = pd.DataFrame({"hospital": np.repeat([*SIZES], [*SIZES.values()]), "age": rng.normal(60, 9, 85)})
    table.insert(0, "id", [f"P{i:02d}" for i in range(85)])
    true = rng.normal(size=(85, len(features)))
    true += np.repeat(np.arange(4.0) * 3, [*SIZES.values()])[:, None]
    table["mvi"] = (rng.random(85) < 1 / (1 + np.exp(-true[:, 0] + true[:, 0].mean()))).astype(int)
    write_hospitals(folder, table, ["age", "mvi"], [])
    perturbed, readers = dict[str, np.ndarray](), dict[str, np.ndarray]()
    deviation = np.array([*NOISE.values()])
    for name, own in table.groupby("hospital"):
        site = open_site(folder / str(name))
        n = len(own)
        values = true[own.index][:, None, :] + deviation * rng.normal(size=(n, 5, len(features)))
        values[:, 4, 3] += rng.normal(0, 2, n)  # loose
        if name in ("alder", "birch"):
            values[:, 1:, 4] = np.nan  # rare
        values[SECOND_READERS[str(name)] :, 4] = np.nan
        perturbed[str(name)], readers[str(name)] = values[:, 1:4], values[:, [0, 4]][: SECOND_READERS[str(name)]]
        retest = pd.DataFrame(values[:, 4], columns=[*NAMES.values()])
        retest.insert(0, "id", own["id"].to_numpy())
        retest.to_csv(site.folder / site.file.retest, index=False)
        site.extracted.parent.mkdir(mode=0o700)
        assert asked.features is not None
        for patient in own["id"]:
            (site.images / patient).mkdir(parents=True)
            (site.images / patient / "portal.nii.gz").write_text(patient)
        with open_kept(site.extracted_in, site.images, ImagesFile(), asked.features) as kept:
            for patient, measured in zip(own["id"], values, strict=True):
                rows = [
                    Row(1, dict(zip(NAMES.values(), map(float, row), strict=True)), measurement)
                    for measurement, row in zip(
                        ("", "perturbed-1", "perturbed-2", "perturbed-3", "reader2"), measured, strict=True
                    )
                    if not np.isnan(row).all()
                ]
                kept.keep(kept.key(patient), patient, Extraction(rows), 0.0)
    return perturbed, readers


class Run(NamedTuple):
    """A study that was run, and what its hospitals had measured."""

    folder: Path
    results: dict[str, Any]
    perturbed: dict[str, np.ndarray]
    readers: dict[str, np.ndarray]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("imaged")
    asked = imaged(minimum_icc=0.75)
    perturbed, readers = write_imaged(folder / "sites", asked)
    simulate(Simulation(asked, find_hospitals(folder / "sites"), folder / "out"), Silence())
    return Run(folder, json.loads((folder / "out" / "results.json").read_text("utf-8")), perturbed, readers)


def test_a_study_says_the_icc_of_the_pooled_measurements(run: Run) -> None:
    results = run.results
    said = results["stability"]["features"]
    for j, name in enumerate(NOISE):
        for kind, measured in (("perturbations", run.perturbed), ("readers", run.readers)):
            if name == "rare":  # two hospitals could tell of it: nobody asks
                assert said[NAMES[name]][kind] is None
                continue
            enough = [values[:, :, j] for values in measured.values() if len(values) >= 10]
            icc, low, high = pooled_anova(enough)
            assert said[NAMES[name]][kind] == {
                "icc": pytest.approx(icc, abs=6e-4),
                "low": pytest.approx(low, abs=6e-3),
                "high": pytest.approx(high, abs=6e-3),
            }
    summary = results["stability"]["summary"]
    assert summary["perturbations"] == {
        "measurements": 3,
        "patients": 85,
        "hospitals": 4,
        "features": 4,
        "good": 3,
        "excellent": 2,
    }
    assert (summary["readers"]["patients"], summary["readers"]["hospitals"]) == (37, 3)


def test_what_is_below_the_least_icc_is_left_out_before_the_pipeline_and_named(run: Run) -> None:
    results = run.results
    left_out = results["stability"]["left_out"]
    assert set(left_out) == {NAMES["shaky"], NAMES["loose"]}
    assert "between readers" in left_out[NAMES["loose"]]
    assert "under perturbation" not in left_out[NAMES["loose"]]
    assert set(results["pipeline"]["columns"]) == {"age", NAMES["steady"], NAMES["fair"], NAMES["rare"]}
    assert any("2 of 5 image features; of 1 it is not known" in note for note in results["notes"])


def test_what_was_left_out_is_neither_harmonised_nor_asked_of_a_hospital_that_joins_later(run: Run) -> None:
    kept = ["id", NAMES["steady"], NAMES["fair"], NAMES["rare"]]
    own = pd.read_csv(run.folder / "out" / "sites" / "cedar" / "harmonised.csv")
    assert [*own.columns] == kept
    model = read_frozen_model(run.folder / "out" / "harmonisation.json")
    harmonise_here(open_site(run.folder / "sites" / "cedar"), model, run.folder / "joined.csv")
    joined = pd.read_csv(run.folder / "joined.csv")
    assert [*joined.columns] == kept
    assert joined[kept[1:]].notna().all().all()


def test_patients_measured_twice_are_judged_by_the_features_that_are_left(run: Run) -> None:
    harmonisation = run.results["harmonisation"]
    assert harmonisation["retest"]["hospitals"] >= 3
    assert set(harmonisation["features"]) == {NAMES["steady"], NAMES["fair"], NAMES["rare"]}


def test_only_features_of_three_hospitals_are_asked_about(run: Run) -> None:
    asked = {line["query"]: line for line in run.results["exchanges"]["asked"]}
    assert asked["stability_counts"]["class"] == asked["stability_sums"]["class"] == "masked total"
    assert asked["stability_counts"]["sums"] == {"perturbations_hospitals": [5], "readers_hospitals": [5]}
    assert {tuple(shape) for shape in asked["stability_sums"]["sums"].values()} == {(4,)}
    assert {"stability_counts", "stability_sums"} <= set(QUERIES) & set(QUERY_WORDS)


def test_the_report_shows_the_least_stable_features(run: Run) -> None:
    page = render(run.results)
    assert "Stability of features" in page
    section = re.sub(
        r"<wbr>|<[^>]+>", "", page.partition('<section id="stability">')[2].partition("</section>")[0]
    )
    assert "ICC ≥ 0.75" in section
    assert section.index("firstorder_fair") < section.index("firstorder_steady")
    assert "2 features were left out" in section
    assert "ICC 0." in section


def test_every_key_of_stability_is_documented_and_every_documented_one_is_there(run: Run) -> None:
    found = {key for key in keys_of({"stability": run.results["stability"]}) if "|" in key}
    paths = {path for path in documented() if path.startswith("stability.")}
    assert len(paths) > 15
    known = [re.compile(pattern(path)) for path in paths]
    assert sorted(key for key in found if not any(p.fullmatch(key) for p in known)) == []
    assert sorted(p for p in paths if not any(re.fullmatch(pattern(p), key) for key in found)) == []


def test_a_study_whose_features_are_all_unstable_stops_in_words(tmp_path: Path) -> None:
    asked = imaged(minimum_icc=0.999, readers=False)
    write_imaged(tmp_path / "sites", asked)
    changed = asked_of(
        **json.loads(asked.to_json()) | {"predictors": {"clinical": [], "radiomics": [NAMES["shaky"]]}}
    )
    with pytest.raises(StudyStopped, match=r"minimum_icc: none of the 1 image features reaches 0\.999"):
        simulate(Simulation(changed, find_hospitals(tmp_path / "sites"), tmp_path / "out"), Silence())


@pytest.fixture
def cedar(tmp_path: Path) -> Whereabouts:
    write_imaged(tmp_path / "sites", imaged())
    return Whereabouts(tmp_path / "sites" / "cedar", tmp_path / "own", lower_profile=True)


VIEW = View("columns", parameters={"columns": [NAMES["loose"], NAMES["steady"]]})


def ask_cedar(
    cedar: Whereabouts, name: str, view: View = VIEW, asked: Study | None = None, **parameters: Any
) -> Answer:
    return ask(
        cedar,
        asked or imaged(),
        name,
        (view,),
        roster=tuple(SIZES),
        splits=("final",),
        view=view.hash,
        parameters=parameters,
    )


def test_a_hospital_sends_sums_of_what_was_asked_and_in_the_order_of_the_view(cedar: Whereabouts) -> None:
    call_roll(cedar, imaged())
    both = ask_cedar(cedar, "stability_sums", perturbations=[0, 1], readers=[1])
    assert both.sums["perturbations_patients"].tolist() == [22, 22]
    assert both.sums["readers_patients"].tolist() == [12]
    one = ask_cedar(cedar, "stability_sums", perturbations=[1])
    assert one.sums["perturbations_within"] == both.sums["perturbations_within"][1:]
    assert one.sums["readers_patients"].shape == (0,)
    assert both.disclosed.model_dump(exclude_defaults=True) == {}


def test_a_sealed_hospital_adds_no_repetitions(cedar: Whereabouts) -> None:
    """It says at the roll call that it has none."""
    folds = {"folds": 2, "leave_one_hospital_out": False, "external": ["cedar"]}
    sealed = asked_of(**json.loads(imaged().to_json()) | {"validation": folds})
    assert call_roll(cedar, sealed).disclosed.contributes == ()
    answers = [
        ask_cedar(cedar, "stability_sums", asked=sealed, perturbations=[0], readers=[1]),
        ask_cedar(cedar, "stability_counts", asked=sealed),
    ]
    assert all(not value.any() for answer in answers for value in answer.sums.values())
    assert all(answer.sums for answer in answers)


def test_repetitions_are_frozen_with_the_cohort(cedar: Whereabouts) -> None:
    call_roll(cedar, imaged())
    assert ask_cedar(cedar, "stability_counts").disclosed.code is None
    site, features = open_site(cedar.folder), imaged().features
    assert features is not None
    with open_kept(site.extracted_in, site.images, ImagesFile(), features) as kept:
        patient = min(path.name for path in site.images.iterdir())
        found = kept.look_up(kept.key(patient))
        assert isinstance(found, Extraction)
        fewer = [row for row in found.rows if row.measurement != "reader2"]
        kept.keep(kept.key(patient), patient, Extraction(fewer), 0.0)
    assert ask_cedar(cedar, "stability_sums", readers=[0]).disclosed.code is Code.COHORT_CHANGED


def test_stability_is_asked_of_image_features_alone(cedar: Whereabouts) -> None:
    call_roll(cedar, imaged())
    clinical = View("columns", parameters={"columns": ["age"]})
    assert ask_cedar(cedar, "stability_counts", clinical).disclosed.code is Code.BAD_PARAMETERS
    assert ask_cedar(cedar, "stability_sums", perturbations=[2]).disclosed.code is Code.BAD_PARAMETERS
