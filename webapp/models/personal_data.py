"""What of a client stands in which table, and what its erasure does with it (RGPD, art. 17).

This list is what an erasure carries out, in its order, what the page of an erasure tells, and what a test holds against
the schema: a table that hangs on a client, or a column of texts, JSON or bytes that is not named here, fails it.

SQL is over the row ``t``; it may name ``:organisation_id``, ``:ids`` (the client and those that were merged into it),
``:texts`` (the same as texts), ``:at``, ``:operation_id`` (the erasure), ``:merge_ids`` (merges with the client, and
what took them back) and ``:merge_client_ids`` (who took part in them), ``:needles`` (what names the client in a text:
names, e-mail, telephone, in lower case), and what was found by opening sealed values: ``:address_indexes``,
``:webhook_ids``, ``:shop_event_ids``, ``:operator_event_ids``, ``:sync_item_ids``, ``:listed_operation_ids``; or by
decoding addresses of pages: ``:saved_view_ids``.
"""
# ruff: noqa: S608  put together from names and expressions of ours

from collections.abc import Mapping
from dataclasses import dataclass, field

ERASED = "Client effacé"
"""What stands in the place of a name."""

ACCOUNTS = (
    "Factures, avoirs, prélèvements, paiements et remboursements, avec ce qui est imprimé sur les factures\u202f: "
    "pièces comptables, dix ans (code de commerce, art.\u00a0L.\u00a0123-22)."
)
CONTRACTS = (
    "Références, dates, produits et montants des contrats et abonnements\u202f: preuve de ce qui a été vendu, dix ans "
    "(code de la consommation, art.\u00a0L.\u00a0213-1)."
)
DEBITS = (
    "Références des mandats et fichiers bancaires déjà produits, chiffrés\u202f: preuve des débits, pièces comptables, "
    "dix ans (code de commerce, art.\u00a0L.\u00a0123-22)."
)
REFUSAL = (
    "L’identifiant de la personne dans WinLeadPlus et dans les boutiques, sans aucune donnée lisible\u202f: pour la "
    "refuser à la prochaine synchronisation (RGPD, art.\u00a017 et 21)."
)

_MINE = "t.client_id = ANY(:ids)"
_CHARGES = "(SELECT id FROM charges WHERE organisation_id = :organisation_id AND client_id = ANY(:ids))"
_SUBSCRIPTIONS = "(SELECT id FROM subscriptions WHERE organisation_id = :organisation_id AND client_id = ANY(:ids))"
_CONTRACTS = "(SELECT id FROM contracts WHERE organisation_id = :organisation_id AND client_id = ANY(:ids))"
_MESSAGES = "(SELECT id FROM messages WHERE organisation_id = :organisation_id AND client_id = ANY(:ids))"
_SHIPMENTS = "(SELECT id FROM shipments WHERE organisation_id = :organisation_id AND client_id = ANY(:ids))"
_CASES = "(SELECT id FROM dunning_cases WHERE organisation_id = :organisation_id AND client_id = ANY(:ids))"
_NAMED = "EXISTS (SELECT FROM unnest(CAST(:needles AS text[])) needle WHERE position(needle IN lower({text})) > 0)"
_WHILE_ONE = """(t.kind = 'client_synced' AND EXISTS (SELECT FROM operations m
  LEFT JOIN operations u ON u.organisation_id = m.organisation_id AND u.undoes_id = m.id AND u.state = 'done'
  WHERE m.organisation_id = t.organisation_id AND m.id = ANY(:merge_ids) AND m.kind = 'merge'
    AND t.at BETWEEN m.finished_at AND coalesce(u.finished_at, :at)))"""
"""What WinLeadPlus said while clients were one: it may be of any of them."""
_OF_OPERATION = f"t.id = ANY(:merge_ids) OR {_NAMED.format(text='t.title')}"
_COVERS = "(SELECT id FROM covers WHERE organisation_id = :organisation_id AND client_id = ANY(:ids))"
_CLAIMS = "(SELECT id FROM claims WHERE organisation_id = :organisation_id AND client_id = ANY(:ids))"
_ADDRESS = f"""'{{"recipient": "{ERASED}"}}'"""


@dataclass(frozen=True)
class Holding:
    """What a table holds of a client.

    ``whose`` says which rows are about it. ``goes``: what is put in the place of a column, as SQL. ``resealed``: of a
    sealed column that cannot be empty, the text that is sealed in its place. ``kept``: the reason for which a column
    stays, in French. ``plain``: columns that tell nothing of a person. ``is_deleted``: the rows go.
    """

    whose: str = _MINE
    goes: Mapping[str, str] = field(default_factory=dict)
    resealed: Mapping[str, str] = field(default_factory=dict)
    kept: Mapping[str, str] = field(default_factory=dict)
    plain: tuple[str, ...] = ()
    is_deleted: bool = False


def _nulls(*columns: str) -> dict[str, str]:
    return dict.fromkeys(columns, "NULL")


_EVENT = {
    "state": "CASE WHEN t.state IN ('done', 'ignored') THEN t.state ELSE 'ignored' END",
    "reason": "CASE WHEN t.state = 'done' THEN NULL ELSE 'Client effacé.' END",
    "waits_for": "NULL",
    "next_attempt_at": "NULL",
    "lease_until": "NULL",
    "fence": "t.fence + 1",
    "handled_at": "coalesce(t.handled_at, :at)",
}
"""What is left of an event: nobody takes it up any more."""

HOLDINGS: dict[str, Holding] = {
    # ---- What was found, or names the client, elsewhere; before what it is found by goes
    "journal_entries": Holding(
        _NAMED.format(text="t.details::text"),
        goes={"details": """'[["Détail", "effacé avec le client"]]'"""},
    ),
    "webhook_events": Holding(
        "t.id = ANY(:webhook_ids)", resealed={"body": "{}"}, goes=_nulls("error"), plain=("event_id", "kind")
    ),
    "woocommerce_events": Holding(
        """t.id = ANY(:shop_event_ids) OR (t.shop_id, t.kind, t.woo_id) IN (
          SELECT r.shop_id, r.kind, r.woo_id FROM woocommerce_resources r
          WHERE r.organisation_id = :organisation_id AND r.client_id = ANY(:ids))""",
        goes=_EVENT | {"body": "NULL"},
        plain=("topic", "delivery_id", "body_hash"),
    ),
    "operator_events": Holding(
        f"t.id = ANY(:operator_event_ids) OR t.claim_id IN {_CLAIMS}",
        goes=_EVENT | {"body": "NULL"},
        plain=("message_id", "type", "external_id"),
    ),
    "operator_documents": Holding(
        f"t.claim_id IN {_CLAIMS}", goes=_EVENT | {"name": "''", "url": "NULL"}, plain=("external_id",)
    ),
    "operator_deliveries": Holding(f"t.claim_id IN {_CLAIMS}", goes=_EVENT, plain=("type", "told")),
    "batch_documents": Holding(
        """EXISTS (SELECT FROM fulfilment_batch_lines l WHERE l.organisation_id = t.organisation_id
          AND l.batch_id = t.batch_id AND l.client_id = ANY(:ids) AND l.consignment_no = ANY(t.consignments))""",
        is_deleted=True,
    ),
    "batch_totals": Holding(
        """EXISTS (SELECT FROM fulfilment_batch_lines l WHERE l.organisation_id = t.organisation_id
            AND l.batch_id = t.batch_id AND l.client_id = ANY(:ids) AND t.key IN (l.pick_key, l.box_key))
          AND NOT EXISTS (SELECT FROM fulfilment_batch_lines l WHERE l.organisation_id = t.organisation_id
            AND l.batch_id = t.batch_id AND l.client_id <> ALL(:ids) AND t.key IN (l.pick_key, l.box_key))""",
        goes={
            "content": """(SELECT coalesce(jsonb_agg(e || jsonb_build_object('preferences', '{}'::jsonb)), '[]')
              FROM jsonb_array_elements(t.content) e)"""
        },
        plain=("key",),
    ),
    "mandate_imports": Holding(
        f"EXISTS (SELECT FROM unnest(CAST(:texts AS text[])) one WHERE position(one IN t.lines::text) > 0) OR "
        f"{_NAMED.format(text='t.lines::text')} OR {_NAMED.format(text='t.file_name')}",
        is_deleted=True,
    ),
    "exports": Holding("true", is_deleted=True),
    # Nobody knows whom a kept file names; what it brought stands in the operation.
    "imports": Holding(
        "t.stored_as IS NOT NULL OR t.reading IS NOT NULL",
        goes={
            **_nulls("stored_as", "file_key", "reading"),
            "file_name": f"CASE WHEN {_NAMED.format(text='t.file_name')} THEN 'fichier' ELSE t.file_name END",
            "decisions": "'{}'",
            "state": "CASE WHEN t.state = 'reading' THEN 'unreadable' ELSE t.state END",
            "error": "'Ce fichier a été retiré avec les données d’un client effacé : déposez-le de nouveau.'",
        },
        plain=("options", "error_field", "columns", "rules"),
    ),
    "import_rows": Holding(
        " OR ".join(_NAMED.format(text=f"coalesce({text}, '')") for text in ("t.label", "t.client::text")),
        is_deleted=True,
    ),
    "saved_views": Holding("t.id = ANY(:saved_view_ids)", is_deleted=True),
    "suppressions": Holding("t.to_index = ANY(:address_indexes)", is_deleted=True),
    "operation_items": Holding(
        """t.operation_id <> :operation_id
          AND (t.client_id = ANY(:ids) OR t.row_id = ANY(:ids) OR t.operation_id = ANY(:merge_ids))""",
        goes={
            "label": f"'{ERASED}'",
            "action": "'nothing'",
            "before": "'{}'",
            "after": "'{}'",
            "secrets": "NULL",
            "reason": "'Un client effacé\u202f: ce que cet élément contenait n’existe plus.'",
            "left_out": "CASE WHEN t.left_out IS NOT NULL THEN 'Client effacé.' END",
        },
        plain=("seen",),
    ),
    "operations": Holding(
        f"t.id <> :operation_id AND ({_OF_OPERATION} OR t.id = ANY(:listed_operation_ids))",
        goes={
            "title": f"CASE WHEN {_OF_OPERATION} THEN 'Opération sur un client effacé' ELSE t.title END",
            "error": f"CASE WHEN NOT ({_OF_OPERATION}) THEN t.error END",
            "listed_in": "NULL",
        },
        plain=("settings",),
    ),
    "duplicate_pairs": Holding("t.first_id = ANY(:ids) OR t.second_id = ANY(:ids)", is_deleted=True),
    # ---- What synchronisations keep
    "sync_items": Holding(
        """t.client_id = ANY(:ids) OR t.id = ANY(:sync_item_ids) OR t.external_id IN (
          SELECT external_id FROM sync_mappings WHERE organisation_id = :organisation_id AND client_id = ANY(:ids))""",
        goes={
            "label": "''",
            **_nulls("reason", "before", "after", "payload"),
            "resolved_at": "coalesce(resolved_at, :at)",
        },
        kept={"external_id": REFUSAL},
    ),
    "sync_mappings": Holding(goes=_nulls("hash", "fingerprint", "snapshot"), kept={"external_id": REFUSAL}),
    "woocommerce_resources": Holding(
        goes={
            **_nulls("body", "hash", "modified_at", "rank", "number", "email", "email_index", "customer_id"),
            "missing_since": "coalesce(t.missing_since, :at)",
            "review": "'[]'",
            "review_closed": "'[]'",
        },
        plain=("status", "currency"),
    ),
    "woocommerce_mappings": Holding(
        f"""{_MINE} OR t.subscription_id IN {_SUBSCRIPTIONS} OR t.charge_id IN {_CHARGES} OR t.payment_id IN (
          SELECT id FROM payments WHERE organisation_id = :organisation_id AND client_id = ANY(:ids))""",
        goes=_nulls("snapshot", "email"),
        kept={"email_index": REFUSAL},
    ),
    # ---- Messages
    "message_events": Holding(f"t.message_id IN {_MESSAGES}", goes={"text": "''"}),
    "messages": Holding(
        goes={
            **_nulls("to", "to_index", "provider_id", "registered_no", "error", "held_reason", "resend_until"),
            "attachments": "'{}'",
            "status": """CASE WHEN t.status IN ('queued', 'unknown', 'bounced', 'held', 'failed') THEN 'canceled'
              ELSE t.status END""",
        },
        resealed={"content": '{"subject": "Message effacé", "body": ""}'},
        plain=("dedupe_key",),
    ),
    # ---- What the client said and gave
    "present_consents": Holding(is_deleted=True),
    "consents": Holding(is_deleted=True),
    "tasks": Holding(is_deleted=True),
    "documents": Holding(is_deleted=True),
    "last_contacts": Holding("false"),
    "timeline_events": Holding(
        f"{_MINE} OR (t.client_id = ANY(:merge_client_ids) AND (t.operation_id = ANY(:merge_ids) OR {_WHILE_ONE}))",
        goes={"changes": "'{}'", "body": "NULL"},
    ),
    # ---- Means of payment
    "default_means": Holding(is_deleted=True),
    "hosted_pages": Holding(
        """t.request_id IN (SELECT id FROM means_requests WHERE organisation_id = :organisation_id
          AND client_id = ANY(:ids))""",
        goes=_nulls("reference", "url"),
    ),
    "means_requests": Holding(goes=_nulls("explanation"), plain=("token", "token_hash")),
    "mandate_amendments": Holding(
        """t.mandate_id IN (SELECT id FROM mandates WHERE organisation_id = :organisation_id
          AND client_id = ANY(:ids))""",
        kept={"original": DEBITS},
    ),
    "mandates": Holding(
        goes={
            "signed_in": "NULL",
            "status": "'revoked'",
            "revoked_on": "coalesce(t.revoked_on, CAST(:at AS timestamptz)::date)",
        },
        kept={"umr": DEBITS},
    ),
    "bank_accounts": Holding(
        goes={
            **_nulls("bic", "holder"),
            "iban_masked": "'Effacé'",
            "archived_at": "coalesce(t.archived_at, :at)",
        },
        resealed={"iban": "effacé {id}"},
        plain=("iban_index",),  # made anew from what is sealed
    ),
    "saved_payment_methods": Holding(
        goes={
            "customer_reference": "''",
            "method_reference": "'efface-' || t.id",
            "label": "'Effacé'",
            **_nulls("brand", "last4", "expires_on"),
            "revoked_at": "coalesce(t.revoked_at, :at)",
        }
    ),
    "bank_files": Holding("false", kept={"content": DEBITS, "message_id": DEBITS}),
    # ---- What was sold
    "contract_lines": Holding(f"t.contract_id IN {_CONTRACTS}", goes={"details": "'{}'"}, kept={"label": CONTRACTS}),
    "contract_status_changes": Holding("false", kept={"old_status_raw": CONTRACTS, "new_status_raw": CONTRACTS}),
    "contracts": Holding(
        goes=_nulls("description", "document_url", "audit_trail_url"),
        kept=dict.fromkeys(("reference", "status_raw", "contract_type", "supplier"), CONTRACTS),
        plain=("commercial_external_id", "currency"),
    ),
    # After the contracts: their erasure, too, is a change that is kept.
    "contract_changes": Holding(f"t.contract_id IN {_CONTRACTS}", goes={"changes": "t.changes - 'description'"}),
    "preference_values": Holding(f"t.subscription_id IN {_SUBSCRIPTIONS}", goes=_nulls("value")),
    "preference_changes": Holding(f"t.subscription_id IN {_SUBSCRIPTIONS}", goes=_nulls("old_value", "new_value")),
    "subscription_history": Holding(goes={"reason": "NULL", "changes": "'{}'"}, plain=("currency",)),
    # ---- Covers and claims
    "claim_entries": Holding(f"t.claim_id IN {_CLAIMS}", goes=_nulls("note"), plain=("option_code",)),
    "claim_changes": Holding(f"t.claim_id IN {_CLAIMS}", goes=_nulls("reason")),
    "claim_decisions": Holding(
        f"t.claim_id IN {_CLAIMS}",
        goes={"content": "'{}'", "reason": "CASE WHEN t.reason IS NOT NULL THEN 'effacé avec le client' END"},
    ),
    "claim_interventions": Holding(
        f"t.claim_id IN {_CLAIMS}", goes={"craftsman": "''", "note": "''"}, plain=("external_id",)
    ),
    "claim_satisfactions": Holding(goes={"comment": "''"}),
    "claims": Holding(goes={"words": "''", "doubt": "NULL"}, plain=("reference", "external_id")),
    "cover_cap_alerts": Holding(f"t.cover_id IN {_COVERS}", plain=("option_code",)),
    "cover_termination_withdrawals": Holding(
        f"""t.termination_id IN (SELECT id FROM cover_terminations WHERE organisation_id = :organisation_id
          AND cover_id IN {_COVERS})""",
        goes={"reason": "'effacé avec le client'"},
    ),
    "cover_terminations": Holding(f"t.cover_id IN {_COVERS}", goes=_nulls("note"), plain=("explanation",)),
    "cover_facts": Holding(f"t.cover_id IN {_COVERS}", goes={"note": "''"}),
    "cover_homes": Holding(f"t.cover_id IN {_COVERS}"),
    "cover_options": Holding(f"t.cover_id IN {_COVERS}"),
    "cover_periods": Holding(f"t.cover_id IN {_COVERS}"),
    "cover_withdrawn_periods": Holding(f"t.cover_id IN {_COVERS}"),
    "figure_entries": Holding(f"t.cover_id IN {_COVERS}", plain=("reason", "trades")),
    "cover_revenue_months": Holding(plain=("trades",)),
    "covered_homes": Holding(
        goes={
            **_nulls("address_line2", "access_notes", "occupied_since"),
            **dict.fromkeys(("address_line1", "postcode", "city"), "'effacé'"),
        }
    ),
    "covers": Holding(),
    "cover_sales": Holding(
        goes={
            **_nulls(
                "home_address_line1",
                "home_address_line2",
                "home_postcode",
                "home_city",
                "home_access_notes",
                "home_occupied_since",
                "signed_from",
                "token_hash",
                "token_expires_at",
            ),
            "abandoned_at": "CASE WHEN t.signed_at IS NULL THEN coalesce(t.abandoned_at, :at) END",
        },
        plain=("option_codes",),
    ),
    "subscription_lines": Holding("false", kept={"label": CONTRACTS}),
    "planned_changes": Holding("false", kept={"lines": CONTRACTS}),
    "subscription_adjustments": Holding("false", kept=dict.fromkeys(("lines", "vat", "price", "left_over"), ACCOUNTS)),
    "subscriptions": Holding(
        goes=_nulls(
            "delivery_name",
            "delivery_company",
            "delivery_line1",
            "delivery_line2",
            "delivery_postcode",
            "delivery_city",
            "delivery_country",
            "delivery_phone",
            "delivery_instructions",
            "gift_message",
        ),
        plain=("timezone", "currency"),
    ),
    # ---- Money
    "allocations": Holding("false"),
    "charges": Holding(
        goes=_nulls("explanation"), kept={"vat": ACCOUNTS, "lines": ACCOUNTS}, plain=("reference", "currency")
    ),
    "charge_attempts": Holding(
        f"t.charge_id IN {_CHARGES}",
        goes=_nulls("provider_message", "authentication_url"),
        kept={"provider_payment_id": ACCOUNTS, "end_to_end_id": DEBITS},
        plain=("currency", "provider_code"),
    ),
    "refunds": Holding(
        f"t.charge_id IN {_CHARGES}",
        goes={"reason": "'Effacé'", "provider_message": "NULL"},
        kept={"vat": ACCOUNTS, "external_id": ACCOUNTS},
        plain=("currency",),
    ),
    "payments": Holding(goes=_nulls("reason"), kept={"external_id": ACCOUNTS}, plain=("currency",)),
    "invoice_lines": Holding("false", kept={"label": ACCOUNTS}),
    "invoices": Holding(
        "false",
        kept=dict.fromkeys(("series", "reference", "vat", "reason", "seller", "buyer"), ACCOUNTS),
        plain=("currency",),
    ),
    "dunning_steps": Holding(f"t.case_id IN {_CASES}", goes=_nulls("reason")),
    "dunning_claims": Holding("false"),
    "dunning_instalments": Holding("false", kept={"vat": ACCOUNTS}),
    "dunning_suspensions": Holding("false"),
    "dunning_cases": Holding(goes=_nulls("pause_note"), plain=("currency",)),
    # ---- Boxes
    "tracking_events": Holding(
        f"""t.parcel_id IN (SELECT id FROM parcels WHERE organisation_id = :organisation_id
          AND shipment_id IN {_SHIPMENTS})""",
        goes={"words": "''"},
        plain=("code",),
    ),
    "parcels": Holding(
        f"t.shipment_id IN {_SHIPMENTS}", goes=_nulls("tracking_number", "label_file", "error"), plain=("key",)
    ),
    "shipment_events": Holding(f"t.shipment_id IN {_SHIPMENTS}", goes={"changes": "'{}'"}),
    "shipments": Holding(goes={"address": _ADDRESS}),
    "fulfilment_batch_lines": Holding(
        goes={
            **_nulls("held_reason", "reason", "gift_message"),
            "address_snapshot": f"CASE WHEN t.address_snapshot IS NOT NULL THEN {_ADDRESS}::jsonb END",
            "preference_snapshot": "CASE WHEN t.preference_snapshot IS NOT NULL THEN '{}'::jsonb END",
        },
        kept={"label": ACCOUNTS},
        plain=("pick_key", "box_key"),
    ),
    # ---- The client, last: what is above is found by it
    "clients": Holding(
        "t.id = ANY(:ids)",
        goes={
            "last_name": f"'{ERASED}'",
            "first_name": "''",
            **_nulls(
                "civility",
                "birth_date",
                "email",
                "phone",
                "address_line1",
                "address_line2",
                "postcode",
                "city",
                "delivery_name",
                "delivery_line1",
                "delivery_line2",
                "delivery_postcode",
                "delivery_city",
                "delivery_instructions",
                "identity_card",
            ),
            "country": "'FR'",
            "delivery_country": "'FR'",
            "contract_references": "''",
            "archived_at": "coalesce(t.archived_at, :at)",
            "erased_at": ":at",
            "changed_at": ":at",
            "version": "t.version + 1",
        },
        plain=("commercial_external_id",),
    ),
}

SETTINGS = "a setting of the organisation"
NOBODYS: dict[str, str] = {
    "carrier_accounts": SETTINGS,
    "charge_runs": "counts",
    "client_tallies": "counts",
    "commercials": "colleagues",
    "companies": SETTINGS,
    "consent_wordings": SETTINGS,
    "contract_tallies": "counts",
    "claim_counters": "counts",
    "claim_settings": SETTINGS,
    "coupons": SETTINGS,
    "cover_operators": SETTINGS,
    "cover_plan_documents": SETTINGS,
    "cover_plan_options": SETTINGS,
    "cover_plan_versions": SETTINGS,
    "cover_plan_zones": SETTINGS,
    "cover_plans": SETTINGS,
    "cover_zone_prefixes": SETTINGS,
    "cover_zones": SETTINGS,
    "cut_offs": SETTINGS,
    "dunning_sequence_steps": SETTINGS,
    "dunning_sequences": SETTINGS,
    "duplicate_searches": "counts",
    "figure_closings": "counts",
    "figure_tallies": "counts",
    "cover_movement_tallies": "counts",
    "figure_work": "ids",
    "fulfilment_batches": "what many clients share",
    "import_mappings": "what the columns of files are",
    "invoice_counters": "counts",
    "merge_moves": "ids; what they lead to is erased",
    "message_frames": SETTINGS,
    "message_senders": SETTINGS,
    "message_switches": SETTINGS,
    "message_templates": SETTINGS,
    "organisations": SETTINGS,
    "outbox_deliveries": "what failed within the application, without data",
    "outbox_events": "ids and plain values",
    "preference_schemas": SETTINGS,
    "products": SETTINGS,
    "provider_accounts": SETTINGS,
    "saved_view_marks": "colleagues",
    "schedule_ticks": "counts",
    "shipping_settings": SETTINGS,
    "sync_runs": "counts",
    "team_leaders": "colleagues",
    "teams": "colleagues",
    "users": "colleagues",
    "winleadplus_configs": SETTINGS,
    "woocommerce_pulls": "counts",
    "woocommerce_shops": SETTINGS,
}
"""Tables that hold nothing of any client, and do not hang on one."""


def reasons_to_keep() -> list[str]:
    """Why something stays after an erasure, each once, for the page."""
    return list(dict.fromkeys(reason for holding in HOLDINGS.values() for reason in holding.kept.values()))
