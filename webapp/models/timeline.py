"""The timeline (historique): what happened to a client, written with the change it tells of."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import Index, Text, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from webapp import clock
from webapp.models.base import Base, Identified, linked, stored_enum, tenant_key
from webapp.models.identity import User
from webapp.models.messages import Message
from webapp.tenancy import OrganisationScoped


class EventKind(StrEnum):
    """What happened."""

    CLIENT_CREATED = "client_created"
    CLIENT_UPDATED = "client_updated"
    CLIENT_IMPORTED = "client_imported"
    CLIENT_SYNCED = "client_synced"
    CLIENT_LINKED = "client_linked"
    CLIENT_FROM_SHOP = "client_from_shop"
    CLIENT_LINKED_TO_SHOP = "client_linked_to_shop"
    CLIENT_SYNCED_BY_SHOP = "client_synced_by_shop"
    SHOP_BODY_REVEALED = "shop_body_revealed"
    CLIENT_ARCHIVED = "client_archived"
    CLIENT_RESTORED = "client_restored"
    CLIENT_MERGED = "client_merged"
    CLIENT_UNMERGED = "client_unmerged"
    CLIENT_ERASED = "client_erased"
    DATA_DISCLOSED = "data_disclosed"
    CREATED_BY_OPERATION = "created_by_operation"
    CHANGED_BY_OPERATION = "changed_by_operation"
    CONTRACT_MISSING = "contract_missing"
    IBAN_ADDED = "iban_added"
    IBAN_REVEALED = "iban_revealed"
    ACCOUNT_ARCHIVED = "account_archived"
    MANDATE_ADDED = "mandate_added"
    MANDATE_CHANGED = "mandate_changed"
    MANDATE_REVOKED = "mandate_revoked"
    MEANS_REQUESTED = "means_requested"
    MEANS_SAVED = "means_saved"
    MEANS_REVOKED = "means_revoked"
    MEANS_NOT_GIVEN = "means_not_given"
    MANDATE_AMENDED = "mandate_amended"
    SIGNED_COPY_ADDED = "signed_copy_added"
    SIGNED_COPY_OPENED = "signed_copy_opened"
    CARD_UPDATED = "card_updated"
    DEFAULT_MEANS_CHANGED = "default_means_changed"
    IDENTITY_CARD_REVEALED = "identity_card_revealed"
    CONTRACT_CREATED = "contract_created"
    CONTRACT_UPDATED = "contract_updated"
    DOCUMENT_ADDED = "document_added"
    DOCUMENT_REMOVED = "document_removed"
    DOCUMENT_CHANGED = "document_changed"
    DOCUMENT_EXPIRED = "document_expired"
    NOTE = "note"
    CALL = "call"
    TASK_ADDED = "task_added"
    TASK_DONE = "task_done"
    TASK_REOPENED = "task_reopened"
    SUBSCRIPTION_CREATED = "subscription_created"
    SUBSCRIPTION_ACTIVATED = "subscription_activated"
    SUBSCRIPTION_CHANGED = "subscription_changed"
    SUBSCRIPTION_PAUSED = "subscription_paused"
    SUBSCRIPTION_RESUMED = "subscription_resumed"
    SUBSCRIPTION_PAST_DUE = "subscription_past_due"
    SUBSCRIPTION_RECOVERED = "subscription_recovered"
    SUBSCRIPTION_CANCELED = "subscription_canceled"
    SUBSCRIPTION_EXPIRED = "subscription_expired"
    SUBSCRIPTION_DELETED = "subscription_deleted"
    CHARGE_DECIDED = "charge_decided"
    REFUND_FAILED = "refund_failed"
    CREDIT_NOTE_MADE = "credit_note_made"
    CONSENT_GIVEN = "consent_given"
    CONSENT_WITHDRAWN = "consent_withdrawn"
    CONSENT_REFUSED = "consent_refused"
    DUNNING_OPENED = "dunning_opened"
    DUNNING_STEP = "dunning_step"
    DUNNING_DECIDED = "dunning_decided"
    DUNNING_CLOSED = "dunning_closed"
    ADDRESS_SUPPRESSED = "address_suppressed"
    ADDRESS_LIFTED = "address_lifted"
    MESSAGE_SENT = "message_sent"
    MESSAGE_NOT_DELIVERED = "message_not_delivered"
    MESSAGE_HELD = "message_held"
    MESSAGE_ANSWERED = "message_answered"
    SHIPMENT_HANDED_OVER = "shipment_handed_over"
    COVER_ADDED = "cover_added"
    COVER_CHANGED = "cover_changed"
    RENUNCIATION_ENDED = "renunciation_ended"
    SALE_SIGNED = "sale_signed"
    CLAIM_DECLARED = "claim_declared"
    CLAIM_DECIDED = "claim_decided"
    CLAIM_CHANGED = "claim_changed"

    @property
    def label(self) -> str:
        """The sentence on the screen."""
        return {
            "client_created": "Client créé",
            "client_updated": "Client modifié",
            "client_imported": "Client importé de WinLeadPlus",
            "client_synced": "Mis à jour par WinLeadPlus",
            "client_linked": "Rattaché à un prospect WinLeadPlus",
            "client_from_shop": "Client venu d’une boutique",
            "client_linked_to_shop": "Rattaché à un client d’une boutique",
            "client_synced_by_shop": "Mis à jour par une boutique",
            "shop_body_revealed": "Notification d’une boutique affichée en clair",
            "client_archived": "Client archivé",
            "client_restored": "Client sorti des archives",
            "client_merged": "Fusionné avec une autre fiche",
            "client_unmerged": "Fusion annulée",
            "client_erased": "Données effacées",
            "data_disclosed": "Données remises à la personne",
            "created_by_operation": "Créé par une opération",
            "changed_by_operation": "Modifié par une opération",
            "contract_missing": "Contrat absent de WinLeadPlus",
            "iban_added": "Coordonnées bancaires ajoutées",
            "iban_revealed": "IBAN affiché en clair",
            "account_archived": "Compte bancaire archivé",
            "mandate_added": "Mandat SEPA ajouté",
            "mandate_changed": "Mandat SEPA modifié",
            "mandate_revoked": "Mandat SEPA révoqué",
            "means_requested": "Moyen de paiement demandé",
            "means_saved": "Moyen de paiement enregistré",
            "means_revoked": "Moyen de paiement retiré chez le prestataire",
            "means_not_given": "Demande de moyen de paiement sans suite",
            "mandate_amended": "Avenant au mandat SEPA",
            "signed_copy_added": "Mandat signé ajouté",
            "signed_copy_opened": "Mandat signé ouvert",
            "card_updated": "Carte mise à jour",
            "default_means_changed": "Moyen de paiement par défaut modifié",
            "identity_card_revealed": "Pièce d’identité affichée en clair",
            "contract_created": "Contrat créé",
            "contract_updated": "Contrat modifié",
            "document_added": "Document ajouté",
            "document_removed": "Document retiré",
            "document_changed": "Validité d’un document modifiée",
            "document_expired": "Document expiré",
            "note": "Note",
            "call": "Appel",
            "task_added": "Tâche ajoutée",
            "task_done": "Tâche faite",
            "task_reopened": "Tâche rouverte",
            "subscription_created": "Abonnement créé",
            "subscription_activated": "Abonnement activé",
            "subscription_changed": "Abonnement modifié",
            "subscription_paused": "Abonnement suspendu",
            "subscription_resumed": "Abonnement repris",
            "subscription_past_due": "Abonnement impayé",
            "subscription_recovered": "Abonnement régularisé",
            "subscription_canceled": "Abonnement résilié",
            "subscription_expired": "Abonnement échu",
            "subscription_deleted": "Abonnement en attente supprimé",
            "charge_decided": "Décision sur un prélèvement",
            "refund_failed": "Remboursement échoué",
            "credit_note_made": "Avoir établi",
            "consent_given": "Consentement donné",
            "consent_withdrawn": "Consentement retiré",
            "consent_refused": "Consentement refusé",
            "dunning_opened": "Dossier de relance ouvert",
            "dunning_step": "Relance",
            "dunning_decided": "Décision sur un dossier de relance",
            "dunning_closed": "Dossier de relance clos",
            "address_suppressed": "Adresse bloquée",
            "address_lifted": "Adresse débloquée",
            "message_sent": "Message envoyé",
            "message_not_delivered": "Message non remis",
            "message_held": "Message retenu",
            "message_answered": "Réponse du client",
            "shipment_handed_over": "Expédition remise au transporteur",
            "cover_added": "Couverture créée",
            "cover_changed": "Couverture modifiée",
            "renunciation_ended": "Délai de renonciation terminé",
            "sale_signed": "Souscription signée",
            "claim_declared": "Sinistre déclaré",
            "claim_decided": "Décision sur un sinistre",
            "claim_changed": "Dossier de sinistre modifié",
        }[self.value]


class TimelineEvent(OrganisationScoped, Identified, Base):
    """One event. ``changes`` maps a field to ``[old, new]``, never with an IBAN, card or token in clear.

    ``body`` is what a person wrote: a note, what was said on the telephone, a task; plain text, with line breaks. Of a
    message that is held or was not delivered it says why; ``message`` is that message, or the one that was answered.
    ``operation_id`` names the operation that did it, ``claim_id`` the claim file on which a person wrote it down.
    """

    __tablename__ = "timeline_events"
    __table_args__ = (
        Index("ix_timeline_events_client", "organisation_id", "client_id", "at", "id"),
        Index("ix_timeline_events_at", "organisation_id", "at", "id"),
        Index(
            "ix_timeline_events_user",
            "organisation_id",
            "user_id",
            "at",
            "id",
            postgresql_where=text("user_id IS NOT NULL"),
        ),
        tenant_key("client_id", "clients"),
        tenant_key("user_id", "users", ondelete="SET NULL"),
        tenant_key("run_id", "sync_runs", ondelete="SET NULL"),
        tenant_key("message_id", "messages", ondelete="RESTRICT"),
        tenant_key("operation_id", "operations", ondelete="RESTRICT"),
        tenant_key("claim_id", "claims", ondelete="RESTRICT"),
    )

    client_id: Mapped[UUID]
    kind: Mapped[EventKind] = mapped_column(stored_enum(EventKind))
    at: Mapped[datetime] = mapped_column(default=clock.now)
    user_id: Mapped[UUID | None]
    run_id: Mapped[UUID | None]
    message_id: Mapped[UUID | None]
    operation_id: Mapped[UUID | None]
    claim_id: Mapped[UUID | None]
    changes: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    body: Mapped[str | None] = mapped_column(Text)

    user: Mapped[User | None] = relationship(
        primaryjoin=lambda: linked(User, TimelineEvent.user_id),
        viewonly=True,
    )
    message: Mapped[Message | None] = relationship(
        primaryjoin=lambda: linked(Message, TimelineEvent.message_id), viewonly=True
    )


class LastContact(OrganisationScoped, Base):
    """When a client and we were last in contact: a call, a message that a colleague wrote, the client's answer.

    A note is none, nor is what we send by ourselves. A trigger on ``timeline_events`` keeps it, and nobody else may.
    """

    __tablename__ = "last_contacts"
    __table_args__ = (
        Index("ix_last_contacts_at", "organisation_id", "at", "client_id"),
        tenant_key("client_id", "clients"),
    )

    client_id: Mapped[UUID] = mapped_column(primary_key=True)
    at: Mapped[datetime]
