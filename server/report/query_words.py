"""What every query is called in a report, and what of it leaves a hospital, in plain words."""

from collections.abc import Mapping
from types import MappingProxyType

QUERIES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "roll_call": (
            "Roll call",
            "In clear, about the hospital: number of patients and events, missing values per column (5 or more), "
            "scanner models (of 5 patients or more), column names, medians to two digits, software versions, "
            "the hospital's public key; in which of the study's subgroups it takes part; whether it has ten patients "
            "who were measured again, and five with an image; whether its policy allows that its own sums are derived.",
        ),
        "cohort_counts": (
            "Numbers of patients",
            "Patients with and without the outcome and after each step of the patient flow; for each image feature, "
            "missing values and hospitals with few of them; hospitals that have each batch level.",
        ),
        "moments": (
            "Means and spreads",
            "For each column and training set: how many values are known, their sum and their sum of squares.",
        ),
        "complete_rows": (
            "Filling gaps by regression: counts",
            "For each training set: how many patients there are, how many have a value in every column with gaps, "
            "and in how many of these each clinical column is known.",
        ),
        "cross_products": (
            "Filling gaps by regression",
            "For each training set: sums of products of the clinical columns, over the patients who have a value in "
            "every column with gaps.",
        ),
        "private_moments": (
            "Means and spreads, with noise",
            "For each column, cut to its public bounds: sum and sum of squares over all patients, with noise.",
        ),
        "private_gradient": (
            "A step of the fit, with noise",
            "For each training set: the gradient of the log-likelihood over patients' rows of bounded length (of a "
            "network: over patients' gradients of bounded length), with noise.",
        ),
        "private_histograms": (
            "Predicted risk by class, with noise",
            "For each scheme: patients with and without the outcome in a few bins of predicted risk, with noise.",
        ),
        "tuning": (
            "Choice of the penalty's strength",
            "For each training set, model and strength: one number, the log-likelihood of the patients held out of "
            "its inner folds.",
        ),
        "train_network": (
            "A round of a network's training",
            "For each training set and model: the change of the network's weights after training in the hospitals, "
            "clipped to a norm agreed beforehand and weighted by patients; how many patients and hospitals trained; "
            "the loss, and on inner folds the loss of patients held out.",
        ),
        "second_task": (
            "How a network's second head orders patients",
            "For each scheme: patients whose second outcome is known and how many of them had it; pairs of patients of "
            "one hospital, and how many of them are ordered as they should be.",
        ),
        "attention": (
            "Where the network looks",
            "Over patients with images: their number, and the sums of the shares of the network's attention that fall "
            "on tumour, ring and elsewhere, and of the shares of the patch that these are.",
        ),
        "attribution": (
            "What columns weigh in the fused network",
            "For each column: the sum over patients of how far it moves their prediction from the average patient's.",
        ),
        "column_counts": (
            "Counts for quartiles",
            "For each clinical column: how many values lie at or below a few given points.",
        ),
        "combat": (
            "Hospital effects (ComBat)",
            "For each training set: number of patients, sums of the columns, and their products centred on the "
            "hospital's own means: what ComBat estimates the hospitals' shifts and scales from.",
        ),
        "combat_reference": (
            "The reference hospital (ComBat)",
            "From the reference hospital: mean and variance of every image feature. From all others: zeros.",
        ),
        "combat_level_counts": (
            "Effects of shared levels: counts (ComBat)",
            "For each training set: how many patients each level (such as a scanner model) has, and of how many it "
            "is unknown.",
        ),
        "combat_level_sums": (
            "Effects of shared levels: sums (ComBat)",
            "For each training set and level (such as a scanner model): number of patients and sums of the "
            "columns.",
        ),
        "combat_level_products": (
            "Effects of shared levels: products (ComBat)",
            "For each training set: products of the columns, centred on the levels' means over all hospitals.",
        ),
        "combat_level_spread": (
            "Effects of shared levels: spread (ComBat)",
            "For each training set and level: squared distances from the level's mean.",
        ),
        "magnitudes": (
            "Sizes of features",
            "For each image feature and training set: how many values are known, and the sum of their sizes.",
        ),
        "yeo_johnson": (
            "Choice of a power transform",
            "For each image feature and candidate power: sum and sum of squares of the transformed values.",
        ),
        "covariance": (
            "Covariance of features (CovBat)",
            "For each training set: sums of products of every two harmonised image features.",
        ),
        "within_spread": (
            "Spread within hospitals (CovBat)",
            "For each training set and component: squared distances from the hospital's own mean.",
        ),
        "hospital_effect": (
            "What is left of hospital effects",
            "For each image feature, before and after harmonisation, over held-out patients: the sums of an analysis "
            "of variance between hospitals and between scanners, and products with covariates and the outcome. "
            "And, as sums too: how many hospitals measured ten patients or more twice, and how many these are.",
        ),
        "rank_counts": (
            "Hospital effects by rank: counts",
            "For each image feature, over held-out patients: how many fall into a few bins.",
        ),
        "rank_sums": (
            "Hospital effects by rank: sums",
            "For each image feature: the square of the hospital's sum of ranks over its number of patients.",
        ),
        "classifier_sums": (
            "Can hospitals be told apart: sums",
            "For each training set: number of patients, sums and products of a few features and of the covariates.",
        ),
        "classifier_auc": (
            "Can hospitals be told apart: AUC",
            "Number of held-out patients, and that number times the AUC of telling them from all other patients.",
        ),
        "retest": (
            "Patients measured twice",
            "For each feature that ten such patients or more of a hospital have twice: sums and products over pairs of "
            "measurements. Otherwise zeros.",
        ),
        "stability_counts": (
            "Patients measured again: who can tell",
            "For each image feature: how many hospitals have ten patients or more with repeated measurements of it.",
        ),
        "stability_sums": (
            "Patients measured again: agreement",
            "For each image feature that ten patients of a hospital or more have in repeated measurements: number of "
            "patients, the spread of patients about their hospital's mean and of measurements about their patient's.",
        ),
        "nyul_landmarks": (
            "Standard scales of intensities",
            "For each phase that five patients of a hospital or more have: their number, and sums of percentiles of "
            "their images' intensities, each image moved to the range 0 to 100 first.",
        ),
        "habitat_moments": (
            "Habitats: means and products",
            "The number of patients, and over patients the sums of each one's mean intensities in the tumour, a phase "
            "each, and of their mean products.",
        ),
        "habitat_clusters": (
            "Habitats: one step of k-means",
            "For each habitat that five patients of a hospital or more have a voxel in: its share of their tumours, "
            "and the sums of intensities and squared distances from its centre. From other hospitals: zeros.",
        ),
        "habitat_mixture": (
            "Habitats: one step of a mixture",
            "For each habitat that five patients of a hospital or more have a voxel in: its share of their tumours, "
            "and the sums of intensities and their products about its centre; and how well the mixture fits.",
        ),
        "logistic": (
            "One step of fitting the model",
            "For each training set: how well the current coefficients fit (log-likelihood), and in which "
            "direction and how sharply that changes (first and second derivatives), summed over patients.",
        ),
        "multinomial": (
            "One step of fitting the model of several classes",
            "For each training set: how well the current coefficients of every class fit (log-likelihood), and in "
            "which direction and how sharply that changes (first and second derivatives), summed over patients.",
        ),
        "ordinal": (
            "One step of fitting the model of rising levels",
            "For each training set: how well the current thresholds and coefficients fit (log-likelihood), and in "
            "which direction and how sharply that changes (first and second derivatives), summed over patients.",
        ),
        "cox": (
            "One step of fitting the survival model",
            "For each training set: how well the current coefficients order this hospital's own events (partial "
            "log-likelihood), and in which direction and how sharply that changes. No time of any event.",
        ),
        "cox_cells": (
            "Counts by thirty days",
            "For each training set: how many patients have the event, and how many are last seen, in every thirty "
            "days.",
        ),
        "cox_risk_sets": (
            "Survival model with one baseline: risk sets",
            "For each training set and a few periods, in each of which thirty patients and more leave: the summed "
            "risk, and the columns weighted by it, of those who leave in the period and of those who have the event "
            "in it.",
        ),
        "cox_curvature": (
            "Survival model with one baseline: second derivatives",
            "For each training set: products of columns, every patient weighted by its risk and by the hazard until "
            "its period, summed over patients.",
        ),
        "score_counts": (
            "Counts of predictions",
            "How many predicted risks lie at or below a few given points, and how many patients have the outcome.",
        ),
        "discrimination": (
            "AUC, Brier score, calibration curve",
            "As sums: how many patients with and without the outcome fall into a few bins of predicted risk, the "
            "squared error, and the hospital's part of the within-hospital AUC. In clear, only with ten or more "
            "patients of each kind: the hospital's own AUC with its error, calibration slope and intercept.",
        ),
        "bootstrap": (
            "Drawing the hospitals anew",
            "For each evaluated model and draw, one number each for the overall and the within-hospital AUC: the "
            "hospital's part in the figure, times a weight that the hospital draws itself and tells nobody.",
        ),
        "subgroup_counts": (
            "Subgroups: numbers of patients",
            "For each subgroup in which three hospitals take part, from a hospital with five such patients or more: "
            "its patients with and without the outcome.",
        ),
        "subgroup_sums": (
            "Subgroups: calibration and AUC",
            "For each subgroup, from a hospital with five such patients or more: patients, how many have the outcome, "
            "predicted risk, squared error, and the hospital's part of the within-hospital AUC.",
        ),
        "class_sums": (
            "Every column beside the outcome",
            "For each training set: number of patients of each class, and for every standardised column its sum in "
            "each class and its sum of squares.",
        ),
        "class_histograms": (
            "Every column beside the outcome, by rank",
            "For each training set and standardised column: how many patients of either class fall into a few bins.",
        ),
        "cox_scores": (
            "Every column beside the time to an event",
            "For each training set: number of events, and for every standardised column how far patients with an event "
            "differ from those at risk at their hospital: a sum and its variance.",
        ),
        "rank_histograms": (
            "Ranks of a few features",
            "For each training set and feature that is left: how many patients fall into narrow bins.",
        ),
        "rank_products": (
            "Alike by rank",
            "For each training set: sums of products of the ranks of the features that are left, two by two.",
        ),
        "feature_products": (
            "Alike by value",
            "For each training set: sums, and sums of products two by two, of the features that are left.",
        ),
        "recalibration": (
            "One step of calibration",
            "Fit, first and second derivatives of a model with two numbers: calibration slope and intercept.",
        ),
        "lone_columns": (
            "Columns that tell the outcome by themselves",
            "For each column: over pairs of the hospital's patients with and without the outcome, how often the one "
            "with it has the higher value, and the number of pairs; nothing where fewer than five patients differ.",
        ),
        "membership": (
            "Can it be told who was in the study",
            "Pairs of a patient that a model was trained on and one that it was not: how many there are, how many an "
            "attacker who knows both rows puts in the right order, and the variance. And of hospitals with 50 patients "
            "or more, where three are so large: how many such an attacker accuses, rightly and wrongly; fewer than "
            "five different ones count as none.",
        ),
        "external_figures": (
            "The external hospitals' own figures",
            "In clear, from a sealed external hospital with ten or more patients of each kind: its own AUC or C with "
            "its error, calibration slope and intercept, by the final model, once. From all others: nothing.",
        ),
        "training_counts": (
            "Predictions of the training rows",
            "For each training set and model: how many patients' predicted risks lie at or below a few given points.",
        ),
        "group_counts": (
            "Sizes of groups",
            "For each evaluated model: how many patients fall into each group that the cut-offs of their own folds "
            "make. Hospitals look at what happened in a group once they know that it holds five patients of all "
            "hospitals.",
        ),
        "training_classes": (
            "Where to put the threshold",
            "For each training set and model: how many of its patients with and without the outcome fall into a few "
            "bins of predicted risk.",
        ),
        "threshold_classes": (
            "Right and wrong at the threshold",
            "How many of the patients that were held out, with and without the outcome, lie above the threshold that "
            "was chosen without them.",
        ),
        "paired_predictions": (
            "Two models side by side",
            "For two models: the hospital's part of both within-hospital AUCs and of the error of their difference; "
            "for patients with and without the outcome, sums of both predicted risks, of their difference and its "
            "square, and how many have a higher or a lower risk by the second model.",
        ),
        "placement_products": (
            "What two models' AUCs have in common",
            "For patients with and without the outcome: the sum of products of the shares of the other class that "
            "each of two models places below or above the patient's bin.",
        ),
        "parts": (
            "Parts of the prediction",
            "Sums and sums of products of what the clinical columns, the tumour's and the ring's features bring to "
            "the predicted log odds.",
        ),
        "exits": (
            "Follow-up by month",
            "How many training patients left in each month, with the event or without.",
        ),
        "survival_counts": (
            "Events by months",
            "How many training patients had the event, had a competing one, or were last seen, in cells of a month or "
            "longer that hold five patients and more. In clear, with ten or more patients: median follow-up, two "
            "digits.",
        ),
        "censoring": (
            "Lost to follow-up by months",
            "For each training set: how many patients were last seen without any event, and how many left in all, in "
            "cells of a month or longer, up to the horizon.",
        ),
        "horizon_predictions": (
            "AUC, Brier score, calibration curve at the horizon",
            "As sums: in a few bins of predicted risk, all patients, and those known to have had the event by the "
            "horizon and not to, weighted for those who were lost; the squared error, and the hospital's part of the "
            "within-hospital AUC. In clear, only with ten or more known of each kind: the hospital's own AUC with its "
            "error, calibration slope and intercept.",
        ),
        "paired_at_horizon": (
            "Models side by side at the horizon",
            "For every two models, patients weighted for those who were lost: the hospital's part of both "
            "within-hospital AUCs and of the error of their difference; for patients with and without the event, sums "
            "of weights and of the difference of the two predicted risks.",
        ),
        "survival_order": (
            "C, AUC at horizons",
            "As sums: patients with and without the event in a coarse table of time by score and, at each horizon, "
            "in a few bins of the score; the hospital's part of the within-hospital C. In clear, only with ten or "
            "more patients of each kind: the hospital's own C with its error.",
        ),
        "survival_bootstrap": (
            "Drawing the hospitals anew",
            "For each evaluated model and draw, one number each for the overall and the within-hospital C: the "
            "hospital's part in the figure, times a weight that the hospital draws itself and tells nobody.",
        ),
        "survival_subgroup_sums": (
            "Subgroups: C and risk",
            "For each subgroup, from a hospital with five such patients or more: patients, events, predicted and "
            "observed risk at one horizon, squared error, and the hospital's part of the within-hospital C.",
        ),
        "paired_concordance": (
            "Models side by side",
            "For every two models: the hospital's part of both within-hospital C, and of the error of their "
            "difference.",
        ),
        "proportional_hazards": (
            "Whether hazard ratios change with time",
            "For each model: gradient and second derivatives of the hospital's own likelihood at the final "
            "coefficients, events counted once as they are and weighted by the logarithm of their month.",
        ),
        "training_risk": (
            "Cut-offs between risk groups",
            "For each training set: how many scores lie at or below a few given points.",
        ),
        "baseline_hazard": (
            "Baseline hazard",
            "For each training set and cell of months: events, and days under observation weighted by relative hazard.",
        ),
        "own_survival": (
            "The hospital's own copy: survival",
            "Nothing about patients leaves: each hospital writes its own patients' risk groups and risks at the "
            "horizons to its own disk.",
        ),
        "survival_risk": (
            "Risk groups, Brier score, calibration",
            "For each risk group: patients and events by cells of months, and the log-rank test's parts. At each "
            "horizon: squared error, and in a few bins the predicted and the observed risk.",
        ),
        "own_copy": (
            "The hospital's own copy",
            "Nothing about patients leaves: each hospital writes its own patients' predictions, "
            "harmonised features and pictures of where a network looked, if there are any, to its own disk and "
            "confirms.",
        ),
    }
)
