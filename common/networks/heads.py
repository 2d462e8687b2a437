"""Losses by kind of outcome: means over patients, so that n times the loss adds up over hospitals.

Binary: cross-entropy of the logit. Multiclass: cross-entropy of (0, lines), the first class being the reference.
Survival: −1/n of Efron's partial log-likelihood over the risk sets of the patients given, which lie within one
hospital: Cox regression stratified by hospital (DeepSurv). A second outcome (`network.also`) adds its own loss over
those of whom it is known, times its weight and their share of the patients.
"""

import torch
from torch.nn import functional

from common.study import Study


def loss_of(
    study: Study,
    lines: torch.Tensor,
    outcome: torch.Tensor,
    second: torch.Tensor | None = None,
) -> torch.Tensor:
    """The loss of some patients' linear predictors: of the study's outcome, and of a second one, weighted.

    Parameters
    ----------
    outcome
        0 and 1, the number of the class, or times and events in two columns.
    second
        A second outcome in one or two columns, NaN where it is not known.
    """
    found = _loss_of_first(study, lines, outcome)
    also = None if study.network is None else study.network.also
    if also is None or second is None:
        return found
    known = ~torch.isnan(second[:, -1])
    if not bool(known.any()):
        return found
    line, observed = lines[known, study.lines()], second[known]
    if also.survival:
        own = cox(line, observed[:, 0], observed[:, 1])
    else:
        own = functional.binary_cross_entropy_with_logits(line, observed[:, 0])
    return found + also.weight * own * (len(line) / len(lines))


def _loss_of_first(study: Study, lines: torch.Tensor, outcome: torch.Tensor) -> torch.Tensor:
    if study.outcome.kind == "survival":
        return cox(lines[:, 0], outcome[:, 0], outcome[:, 1])
    if study.outcome.kind == "multiclass":
        reference = torch.zeros_like(lines[:, :1])
        return functional.cross_entropy(torch.cat([reference, lines[:, : study.lines()]], dim=1), outcome.long())
    return functional.binary_cross_entropy_with_logits(lines[:, 0], outcome)


def cox(line: torch.Tensor, time: torch.Tensor, event: torch.Tensor) -> torch.Tensor:
    """−1/n of Efron's partial log-likelihood of one stratum."""
    order = torch.argsort(time, descending=True, stable=True)
    line, time, event = line[order], time[order], event[order] == 1
    if not bool(event.any()):
        return line.sum() * 0.0
    highest = line.detach().max()
    risk = torch.exp(line - highest)
    # The last place of every time, latest times first: all up to there are at risk.
    times, at, count = torch.unique_consecutive(time, return_inverse=True, return_counts=True)
    last = torch.cumsum(count, 0) - 1
    at_risk = torch.cumsum(risk, 0)[last]
    tied = torch.zeros(len(times), dtype=line.dtype, device=line.device).index_add(0, at[event], risk[event])
    deaths = torch.bincount(at[event], minlength=len(times))
    places = torch.repeat_interleave(torch.arange(len(times), device=line.device), deaths)
    before = torch.cumsum(deaths, 0) - deaths
    share = (torch.arange(len(places), device=line.device) - before[places]).to(line.dtype) / deaths[places]
    left = at_risk[places] - share * tied[places]
    return -(line[event].sum() - (torch.log(left) + highest).sum()) / len(line)
