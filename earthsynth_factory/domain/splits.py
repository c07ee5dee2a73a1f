"""Which split a group of source data belongs to, so that no source image feeds two splits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from earthsynth_factory.domain.seeds import derive


def assign_groups(groups: Mapping[str, Iterable[int]], shares: Mapping[str, float], seed: int) -> dict[str, str]:
    """Group name → split name.

    groups: each group's category ids. shares: split → share, summing to 1. Rare categories are dealt out first, each of
    their groups to the split that is furthest below its share of that category (ties: of all groups), so that every
    split gets some of every category if there are enough groups. The same groups, shares and seed give the same
    answer in any order. (Greedy form of iterative stratification, Sechidis et al. 2011.) A split that would stay empty has
    a group of the split that has most, as long as there are enough groups.
    """
    order = sorted(groups, key=lambda group: derive(seed, "split", group))
    members: dict[int, list[str]] = {}
    for group in order:
        for category in set(groups[group]):
            members.setdefault(category, []).append(group)
    assigned: dict[str, str] = {}
    totals = dict.fromkeys(shares, 0)
    for _, of_category in sorted(members.items(), key=lambda item: (len(item[1]), item[0])):
        _deal(of_category, shares, assigned, totals)
    _deal(order, shares, assigned, totals)
    _fill_empty(order, shares, assigned, totals)
    return assigned


def _fill_empty(
    order: list[str], shares: Mapping[str, float], assigned: dict[str, str], totals: dict[str, int]
) -> None:
    """Give every split with a share a group, each time the last one of the split that has most."""
    for name in shares:
        if totals[name] or shares[name] <= 0:
            continue
        richest = max(totals, key=lambda split: totals[split])
        if totals[richest] < 2:
            return
        moved = next(group for group in reversed(order) if assigned[group] == richest)
        assigned[moved] = name
        totals[richest] -= 1
        totals[name] += 1


def _deal(groups: list[str], shares: Mapping[str, float], assigned: dict[str, str], totals: dict[str, int]) -> None:
    """Give each group that has no split yet to the split that lacks most, among these groups and overall."""
    here = dict.fromkeys(shares, 0)
    for group in groups:
        if group in assigned:
            here[assigned[group]] += 1
    for group in groups:
        if group in assigned:
            continue
        placed, total = sum(here.values()) + 1, sum(totals.values()) + 1
        lack = {name: (share * placed - here[name], share * total - totals[name]) for name, share in shares.items()}
        best = max((name for name in shares if shares[name] > 0), key=lambda name: lack[name])
        assigned[group] = best
        here[best] += 1
        totals[best] += 1
