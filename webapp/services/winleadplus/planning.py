"""Decides what to do about each prospect of a batch, from what the CRM holds; writes nothing.

The rules stand in docs/adr/0021: matching never guesses, and a reference of another client's contract rejects the
whole prospect.
"""

from collections.abc import Iterable
from dataclasses import replace

from webapp.models.winleadplus import ItemKind
from webapp.services.winleadplus.commercials import Directory
from webapp.services.winleadplus.differences import fill_changes
from webapp.services.winleadplus.existing import Standing
from webapp.services.winleadplus.payload import Prospect
from webapp.services.winleadplus.plans import Claims, ContractPlan, Plan, Rules

UNKNOWN_COMMERCIAL = (
    "Le commercial de WinLeadPlus n’est pas connu du CRM\u202f: le client lui sera rattaché à sa première connexion."
)
ERASED = "Ce client a été effacé\u202f: rien n’en est repris."
NO_CONTRACT = "Aucun contrat\u202f: ce prospect n’est pas importé."


def plan_all(
    prospects: Iterable[Prospect], standing: Standing, claims: Claims, rules: Rules, directory: Directory
) -> list[Plan]:
    """One plan per prospect, in their order."""
    plans = []
    for prospect in prospects:
        plan = _plan(prospect, standing, claims, rules)
        if plan.kind is ItemKind.UPDATED:
            fill_changes(plan, standing, rules, directory)
        if prospect.commercial and directory.id_of(prospect) is None:
            plan.prospect = replace(plan.prospect, warnings=(*prospect.warnings, UNKNOWN_COMMERCIAL))
        plans.append(plan)
    return plans


def _plan(prospect: Prospect, standing: Standing, claims: Claims, rules: Rules) -> Plan:
    mapping = standing.mappings.get(prospect.external_id)
    if mapping is not None and standing.is_erased(mapping.client_id):
        return Plan(ItemKind.SKIPPED, prospect, reason=ERASED, client_id=mapping.client_id)
    if mapping is not None:
        plan = Plan(ItemKind.UPDATED, prospect, client_id=mapping.client_id)
    else:
        plan = _plan_unmapped(prospect, standing, claims, rules)
    if plan.kind in (ItemKind.SKIPPED, ItemKind.CONFLICT):
        return plan
    owner: object = plan.client_id or prospect.external_id
    borrowed = _borrowed_reference(prospect, owner, standing, claims)
    if borrowed is not None:
        reason = f"La référence de contrat {borrowed} appartient déjà à un autre client."
        return Plan(ItemKind.ERROR, prospect, reason=reason, client_id=mapping.client_id if mapping else None)
    claims.references.update((contract.reference, owner) for contract in prospect.contracts)
    if plan.client_id is not None:
        claims.clients.add(plan.client_id)
    return plan


def _plan_unmapped(prospect: Prospect, standing: Standing, claims: Claims, rules: Rules) -> Plan:
    if prospect.external_id in rules.decided:
        chosen = rules.decided[prospect.external_id]
        candidates = [chosen] if chosen else []
        if chosen and standing.is_erased(chosen):
            return Plan(ItemKind.ERROR, prospect, reason=ERASED)
    elif not prospect.has_contracts and not rules.imports_without_contracts:
        return Plan(ItemKind.SKIPPED, prospect, reason=NO_CONTRACT)
    else:
        candidates = standing.candidates_for(prospect, claims.clients)
    if len(candidates) > 1:
        reason = f"{len(candidates)} clients ont le même e-mail ou le même téléphone\u202f: choisissez le bon."
        return Plan(ItemKind.CONFLICT, prospect, reason=reason, candidates=candidates)
    if candidates:
        return Plan(ItemKind.UPDATED, prospect, client_id=candidates[0], is_first_link=True)
    contracts = [ContractPlan(None, contract) for contract in prospect.contracts]
    return Plan(ItemKind.CREATED, prospect, contracts=contracts, accounts=list(prospect.accounts))


def _borrowed_reference(prospect: Prospect, owner: object, standing: Standing, claims: Claims) -> str | None:
    for contract in prospect.contracts:
        reference = contract.reference
        holder = claims.references.get(reference) or standing.owners.get(reference)
        if holder is not None and holder != owner:
            return reference
    return None
