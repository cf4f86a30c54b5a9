"""What upstream has changed about a prospect since it was last applied, field by field.

Only that is applied, so that a local edit survives until WinLeadPlus changes the same field; a first link, without
anything to compare with, fills blanks only.
"""

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal

import orjson

from webapp import crypto
from webapp.iban import iban_purpose
from webapp.models.banking import MandateStatus
from webapp.models.winleadplus import ItemKind
from webapp.services.winleadplus import field_changes
from webapp.services.winleadplus.commercials import Directory
from webapp.services.winleadplus.existing import Standing
from webapp.services.winleadplus.field_changes import Changes
from webapp.services.winleadplus.payload import Prospect, ProspectAccount, ProspectContract, ProspectLine
from webapp.services.winleadplus.plans import (
    CLIENT_FIELDS,
    CONTRACT_FIELDS,
    SNAPSHOT,
    ContractPlan,
    Json,
    Plan,
    Rules,
)

LINE_FIELDS = ("label", "unit_price", "category", "supplier", "offer_id")


def snapshot_of(prospect: Prospect) -> Json:
    """The prospect as it is remembered, to tell later what changed upstream."""
    snapshot: Json = {name: getattr(prospect, name) for name in CLIENT_FIELDS}
    snapshot["commercial"] = prospect.commercial_key
    snapshot["identity_card"] = prospect.identity_card
    snapshot["accounts"] = prospect.accounts
    snapshot["contracts"] = {contract.reference: _contract_snapshot(contract) for contract in prospect.contracts}
    return snapshot


def _contract_snapshot(contract: ProspectContract) -> Json:
    lines = [{name: getattr(line, name) for name in LINE_FIELDS} for line in contract.lines]
    return {name: getattr(contract, name) for name in ProspectContract.__slots__} | {"lines": lines}


def changes_of_new(prospect: Prospect, directory: Directory) -> Changes:
    """What a dry run tells of a prospect that would become a new client."""
    changes: Changes = {name: (None, getattr(prospect, name)) for name in CLIENT_FIELDS if getattr(prospect, name)}
    if prospect.commercial_key:
        changes["commercial"] = (None, directory.name_for(prospect))
    if prospect.identity_card:
        changes["identity_card"] = (None, prospect.identity_card)
    for contract in prospect.contracts:
        changes |= _changes_of_new_contract(contract)
    for number, account in enumerate(prospect.accounts):
        changes[f"iban#{number}"] = (None, account.iban)
    return changes


def _changes_of_new_contract(contract: ProspectContract) -> Changes:
    fields = {"status": contract.status, "amount": contract.amount, "signed_at": contract.signed_at}
    return {f"contract.{contract.reference}.{name}": (None, value) for name, value in fields.items() if value}


def fill_changes(plan: Plan, standing: Standing, rules: Rules, directory: Directory) -> None:
    """Say what upstream has changed about the client of the plan; with nothing changed, the plan is to skip."""
    old = _last_snapshot(plan.prospect, standing, rules)
    plan.prospect = complete_lines(plan.prospect, old)
    new: Json = orjson.loads(orjson.dumps(snapshot_of(plan.prospect), default=str))
    _keep_unread(new, old or {}, plan.prospect.unread | plan.prospect.unsaid)
    plan.snapshot = new
    client = standing.clients[plan.client_id] if plan.client_id else {}
    _change_client(plan, client, new, old)
    _change_commercial(plan, client, new, old, directory)
    _change_identity_card(plan, client, new, old, rules)
    _change_accounts(plan, standing, new, old, rules)
    _change_contracts(plan, standing, new, old)
    if not (plan.changes or plan.is_first_link):
        plan.kind = ItemKind.SKIPPED


def _last_snapshot(prospect: Prospect, standing: Standing, rules: Rules) -> Json | None:
    mapping = standing.mappings.get(prospect.external_id)
    if mapping is None or mapping.snapshot is None:
        return None
    snapshot: Json = field_changes.unseal(
        mapping.snapshot, organisation_id=rules.organisation_id, table_column=SNAPSHOT, row_id=prospect.external_id
    )
    return snapshot


def _keep_unread(new: Json, old: Json, unread: Iterable[str]) -> None:
    """What could not be read this time, or was not said, is remembered as it was: no change."""
    for name in unread:
        if name.startswith("contract."):
            reference, _, column = name.removeprefix("contract.").rpartition(".")
            _keep(new["contracts"].get(reference), old.get("contracts", {}).get(reference), column)
        elif name.startswith("account."):
            _, iban, column = name.split(".")
            _keep(_account(new, iban), _account(old, iban), column)
        elif (
            name in CLIENT_FIELDS
            or name in ("commercial", "identity_card")
            or (name == "accounts" and not new["accounts"])
        ):
            _keep(new, old, name)
        elif name == "lines":
            for reference, contract in new["contracts"].items():
                _keep(contract, old.get("contracts", {}).get(reference), name)


def _keep(new: Json | None, old: Json | None, name: str) -> None:
    if new is not None and old is not None and name in old:
        new[name] = old[name]


def _account(snapshot: Json, iban: str) -> Json | None:
    return next((account for account in snapshot.get("accounts", []) if account["iban"] == iban), None)


def complete_lines(prospect: Prospect, old: Json | None) -> Prospect:
    """The prospect, its lines completed by what WinLeadPlus last said of a line with the same label and says no more.

    The generations tell different things of a line, and lines are written as a whole.
    """
    former: Json = (old or {}).get("contracts", {})
    return replace(
        prospect,
        contracts=tuple(
            _complete_contract(contract, former[contract.reference]) if contract.reference in former else contract
            for contract in prospect.contracts
        ),
    )


def _complete_contract(contract: ProspectContract, former: Json) -> ProspectContract:
    return replace(contract, lines=tuple(_complete_line(line, former["lines"]) for line in contract.lines))


def _complete_line(line: ProspectLine, former: list[Json]) -> ProspectLine:
    before = next((entry for entry in former if entry["label"] == line.label), None)
    details: Json = {name: _detail(before, name) for name in line.unsaid} if before else {}
    return replace(line, **details)


def _detail(line: Json, name: str) -> object:
    return Decimal(line[name]) if name == "unit_price" and line[name] is not None else line[name]


def _is_due(name: str, new: Json, old: Json | None, current: object) -> bool:
    """Whether upstream's value is to be applied: it changed there, or we are blank and never saw it."""
    if old is None or name not in old:
        return current in (None, "") and new[name] not in (None, "")
    return bool(new[name] != old[name])


def _change_client(plan: Plan, client: Json, new: Json, old: Json | None) -> None:
    for name in CLIENT_FIELDS:
        value = getattr(plan.prospect, name)
        if _is_due(name, new, old, client[name]) and client[name] != value:
            plan.values[name] = value
            plan.changes[name] = (client[name], value)


def _change_commercial(plan: Plan, client: Json, new: Json, old: Json | None, directory: Directory) -> None:
    if not _is_due("commercial", new, old, client["commercial_id"] or client["commercial_external_id"]):
        return
    values = dict(zip(("commercial_id", "commercial_external_id"), directory.commercial_of(plan.prospect), strict=True))
    if any(client[name] != value for name, value in values.items()):
        plan.values |= values
        before = directory.name_of(client["commercial_id"]) or client["commercial_external_id"]
        plan.changes["commercial"] = (before, directory.name_for(plan.prospect))


def _change_identity_card(plan: Plan, client: Json, new: Json, old: Json | None, rules: Rules) -> None:
    if not _is_due("identity_card", new, old, client["identity_card"]):
        return
    current = None
    if client["identity_card"] is not None:
        place = field_changes.place_of(rules.organisation_id, "clients.identity_card", plan.client_id)
        current = crypto.unseal(client["identity_card"], place=place)
    if current != new["identity_card"]:
        plan.values["identity_card"] = new["identity_card"]
        plan.changes["identity_card"] = (current, new["identity_card"])


def _change_accounts(plan: Plan, standing: Standing, new: Json, old: Json | None, rules: Rules) -> None:
    """Accounts are added and completed, never taken away: a mandate may hang on them."""
    former = {account["iban"]: account for account in (old or {}).get("accounts", [])}
    remembered = {account["iban"]: account for account in new["accounts"]}
    held = standing.accounts.get(plan.client_id, {}) if plan.client_id else {}
    for number, account in enumerate(plan.prospect.accounts):
        before = former.get(account.iban)
        if before == remembered[account.iban]:
            continue
        indexes = crypto.blind_indexes(account.iban, purpose=iban_purpose(rules.organisation_id))
        row = next((held[index] for index in indexes if index in held), None)
        if row is None and before is None:
            plan.accounts.append(account)
            plan.changes[f"iban#{number}"] = (None, account.iban)
        elif row is not None:
            _complete_account(plan, account, row, before, number)


def _complete_account(plan: Plan, account: ProspectAccount, row: Json, before: Json | None, number: int) -> None:
    if account.bic and (row["bic"] is None or (before and before["bic"] != account.bic)):
        plan.bics.append((row["id"], account.bic))
        plan.changes[f"bic#{number}"] = (before["bic"] if before else None, account.bic)
    if account.has_mandate and not row["has_mandate"] and not (before and before["has_mandate"]):
        plan.mandates.append(row["id"])
        plan.changes[f"mandate#{number}"] = (None, MandateStatus.DECLARED.label)


def _change_contracts(plan: Plan, standing: Standing, new: Json, old: Json | None) -> None:
    held = standing.contracts.get(plan.client_id, {}) if plan.client_id else {}
    former: Json = (old or {}).get("contracts", {})
    for contract in plan.prospect.contracts:
        row, before = held.get(contract.reference), former.get(contract.reference)
        after = new["contracts"][contract.reference]
        if row is not None:
            lines = standing.lines.get(row["id"], [])
            _change_contract(plan, ContractPlan(row["id"], contract), row, lines, (before, after))
        elif before != after:  # neither here nor unchanged since it was deleted here
            plan.contracts.append(ContractPlan(None, contract))
            plan.changes |= _changes_of_new_contract(contract)
    is_said = "contracts" not in plan.prospect.unread | plan.prospect.unsaid
    for reference, before in former.items():
        if reference in new["contracts"]:
            continue
        new["contracts"][reference] = before  # to compare with, should it come back
        row = held.get(reference)
        if row is not None and row["missing_since"] is None and is_said:
            plan.vanished.append((row["id"], reference))
            plan.changes[f"contract.{reference}.missing_since"] = (None, "oui")


def _change_contract(
    plan: Plan, change: ContractPlan, row: Json, lines: list[Json], upstream: tuple[Json | None, Json]
) -> None:
    before, after = upstream
    key = f"contract.{change.contract.reference}."
    for name in CONTRACT_FIELDS:
        value = getattr(change.contract, name)
        if _is_due(name, after, before, row[name]) and row[name] != value:
            change.values[name] = value
            plan.changes[key + name] = (row[name], value)
    if before["lines"] != after["lines"] if before else not lines and after["lines"]:
        change.replaces_lines = True
        plan.changes[key + "lines"] = ([_line_image(line) for line in lines], after["lines"])
    if row["missing_since"] is not None:
        plan.returned.append(row["id"])
        plan.changes[key + "missing_since"] = ("oui", None)
    if change.values or change.replaces_lines:
        plan.contracts.append(change)


def _line_image(line: Json) -> Json:
    return {"label": line["label"], "unit_price": line["unit_price"], **line["details"]}
