"""What forbids the erasure of a client: what is still to be done for or with the person, in sentences."""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import text

from webapp import tenancy
from webapp.extensions import db

_OF_CLIENTS = {
    "Un abonnement est en cours\u202f: résiliez-le d’abord.": """SELECT client_id FROM subscriptions t
      WHERE {mine} AND t.status NOT IN ('canceled', 'expired')""",
    "Un prélèvement n’est pas terminé\u202f: attendez sa fin, ou décidez-en.": """SELECT client_id FROM charges t
      WHERE {mine} AND (t.status IN ('scheduled', 'sending', 'processing', 'unknown', 'retrying', 'authenticating')
        OR t.attention IS NOT NULL)""",
    "Un remboursement n’est pas terminé\u202f: attendez sa fin.": """SELECT t.client_id FROM charges t
      JOIN refunds r ON r.organisation_id = t.organisation_id AND r.charge_id = t.id
      WHERE {mine} AND r.status IN ('requested', 'unknown')""",
    "Une facture attend son numéro\u202f: attendez qu’elle soit émise.": """SELECT client_id FROM invoices t
      WHERE {mine} AND t.number IS NULL""",
    "Un dossier de relance est en cours\u202f: soldez-le ou clôturez-le d’abord.": """SELECT client_id
      FROM dunning_cases t WHERE {mine} AND t.status IN ('open', 'paused')""",
    "Un envoi n’est pas parti\u202f: expédiez-le, ou retirez-le de son lot.": """SELECT client_id
      FROM fulfilment_batch_lines t WHERE {mine} AND t.status IN ('pending', 'to_prepare', 'prepared', 'set_aside')
      UNION SELECT client_id FROM shipments t
      WHERE {mine} AND t.status IN ('to_label', 'sending', 'unknown', 'refused', 'labelled')""",
    "Un colis est en chemin\u202f: attendez qu’il soit livré ou retourné.": """SELECT client_id FROM shipments t
      WHERE {mine} AND (t.status = 'in_transit' OR (t.status = 'handed_over' AND t.account_id IS NOT NULL))""",
    "Un message part en ce moment\u202f: réessayez dans quelques instants.": """SELECT client_id FROM messages t
      WHERE {mine} AND t.status = 'sending'""",
    "Une demande de moyen de paiement est ouverte\u202f: annulez-la d’abord.": """SELECT client_id
      FROM means_requests t WHERE {mine} AND t.status IN ('draft', 'sent', 'opened')""",
    "Une synchronisation attend qu’on dise si un prospect est ce client\u202f: décidez-en d’abord.": """SELECT c.id
      FROM clients c JOIN sync_items t ON t.organisation_id = c.organisation_id AND c.id = ANY(t.candidate_ids)
      WHERE c.organisation_id = :organisation_id AND c.id = ANY(:ids)
        AND t.kind IN ('error', 'conflict', 'warning') AND t.resolved_at IS NULL""",
    "Ce client a été fusionné dans un autre\u202f: effacez l’autre.": """SELECT t.id FROM clients t
      WHERE t.organisation_id = :organisation_id AND t.id = ANY(:asked) AND t.merged_into_id IS NOT NULL""",
    "Ce client est déjà effacé.": """SELECT t.id FROM clients t
      WHERE t.organisation_id = :organisation_id AND t.id = ANY(:asked) AND t.erased_at IS NOT NULL""",
}
"""The sentence, and the statement that gives the clients for which it holds."""
_OF_ALL = {
    "Un export est en cours\u202f: attendez sa fin.": "SELECT 1 FROM exports WHERE status = 'running'",
    "Une notification d’un prestataire de paiement attend\u202f: réessayez dans quelques instants, ou classez-la.": """
      SELECT 1 FROM webhook_events WHERE handled_at IS NULL""",
    "Une opération est en cours\u202f: attendez sa fin.": """SELECT 1 FROM operations
      WHERE state IN ('preparing', 'running') AND kind <> 'erasure'""",
}
"""What may hold anybody's values at this moment; statements end with the organisation."""


def find(groups: dict[UUID, Collection[UUID]]) -> dict[UUID, list[str]]:
    """For clients, each with itself and those that were merged into it: the sentences, where something forbids it."""
    owner = {each: client_id for client_id, members in groups.items() for each in members}
    given = {"organisation_id": tenancy.current_organisation_id(), "ids": list(owner), "asked": list(groups)}
    general = [sentence for sentence, statement in _OF_ALL.items() if _is_there(statement)]
    found: dict[UUID, list[str]] = {client_id: list(general) for client_id in groups}
    for sentence, statement in _OF_CLIENTS.items():
        mine = "t.organisation_id = :organisation_id AND t.client_id = ANY(:ids)"
        rows = db.session.execute(text(f"SELECT DISTINCT * FROM ({statement.format(mine=mine)}) found"), given)  # noqa: S608
        for client_id in dict.fromkeys(owner[each] for (each,) in rows):
            found[client_id].append(sentence)
    return {client_id: sentences for client_id, sentences in found.items() if sentences}


def _is_there(statement: str) -> bool:
    ours = text(f"{statement} AND organisation_id = :organisation_id LIMIT 1")
    return db.session.execute(ours, {"organisation_id": tenancy.current_organisation_id()}).first() is not None
