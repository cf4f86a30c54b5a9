"""Messages: written with what causes them, and sent by one worker to a mail server that answers at once.

Floors of the same run: writing, against a bare INSERT of the same sealed rows plus the filling in of the texts alone;
sending, against smtplib alone, which writes down and hands over the same texts on one connection.
"""

import os
import resource
import smtplib
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from email.message import EmailMessage
from email.utils import make_msgid
from typing import Any
from uuid import uuid5

import psycopg
from sqlalchemy import select

from bench.client_data import ORGANISATION, make_clients
from bench.databases import dsn, open_database, settings_of
from bench.report import Line, Report
from tests import mail_server
from tests.mail_server import MailServer
from webapp import clock, tenancy
from webapp.extensions import db
from webapp.factory import create_app
from webapp.models.clients import Client
from webapp.models.messages import Channel, Message, MessageKind, MessageProvider, MessageSender
from webapp.models.organisations import Company
from webapp.services.messages import preparing, rendering, sending, templates, writing
from webapp.services.messages.drafts import Draft
from webapp.services.messages.kinds import KINDS

START = datetime(2026, 11, 20, 9, tzinfo=UTC)
WRITING_LIMIT, SENDING_LIMIT = 3.0, 1.5
KIND = MessageKind.PAYMENT_FAILED
VARIABLES = {
    "abonnement": "Panier de saison (S-1042)",
    "montant": Decimal("49.90"),
    "motif": "La provision du compte est insuffisante.",
    "prochain_essai": START.date(),
    "lien_paiement": "",
}
SAMPLE = 200
"""E-mails whose texts smtplib sends again and again."""


def run(size: int = 20_000) -> Report:
    """Write ``size`` e-mails, and send them."""
    environment = open_database(
        "bench_messages", lambda owner: make_clients(owner, size, _say), f"SELECT count(*) = {size} FROM clients"
    )
    app = create_app(settings_of(environment))
    with app.app_context(), mail_server.running() as mail:
        clock.start_at(START)
        tenancy.enter_organisation(ORGANISATION)
        _empty(environment)
        drafts = _prepare(mail)
        started = time.perf_counter()
        writing.write_many(drafts, at=clock.now())
        written = time.perf_counter() - started
        written_floor = _fill_alone(drafts) + _insert_alone(environment)
        memory = _peak()
        sent = _send(mail)
        memory = _peak() - memory
        sent_floor = _send_alone(mail)
    lines = [
        _line("written", written, written_floor, size, WRITING_LIMIT),
        _line("sent", sent, sent_floor, size, SENDING_LIMIT),
        Line("memory of sending", memory, unit="MiB"),
    ]
    return Report("messages", size, lines, [f"{os.cpu_count()} cores, ms a message, one worker, one SMTP connection"])


def _empty(environment: dict[str, str]) -> None:
    with psycopg.connect(dsn(environment["DATABASE_OWNER_URL"]), autocommit=True) as owner:
        owner.execute("TRUNCATE messages, message_senders, message_events, suppressions CASCADE")
        owner.execute("VACUUM ANALYZE messages, clients")


def _prepare(mail: MailServer) -> list[Draft]:
    """A sender, and a draft to each client who has an address."""
    company_id = db.session.scalars(select(Company.id)).first()
    if company_id is None:
        company = Company(name="Verger & Cie", is_default=True)
        db.session.add(company)
        db.session.flush()
        company_id = company.id
    sender = MessageSender(
        company_id=company_id,
        channel=Channel.EMAIL,
        provider=MessageProvider.SMTP,
        from_name="Verger & Cie",
        from_address="bonjour@verger.example",
        pace_per_minute=10_000_000,
        webhook_token="0" * 32,
    )
    sender.keep_credentials(mail.credentials)
    db.session.add(sender)
    db.session.commit()
    clients = db.session.scalars(select(Client.id).order_by(Client.id)).all()
    return [
        Draft(
            kind=KIND,
            company_id=company_id,
            subject_id=uuid5(ORGANISATION, str(number)),
            occasion="1",
            variables=VARIABLES,
            client_id=client_id,
            channel=Channel.EMAIL,
        )
        for number, client_id in enumerate(clients)
    ]


def _fill_alone(drafts: Sequence[Draft]) -> float:
    """Seconds that the texts alone take, each for another client."""
    wanted = (KIND, Channel.EMAIL, drafts[0].company_id)
    text = templates.load_in_use([wanted], at=clock.now())[wanted].text
    context = preparing._load_context(drafts[:500])
    said = [{**recipient.variables, **context.companies[wanted[2]]} for recipient in context.recipients.values()]
    started = time.perf_counter()
    for number in range(len(drafts)):
        rendering.fill(KINDS[KIND], Channel.EMAIL, text, {**said[number % len(said)], **VARIABLES})
    return time.perf_counter() - started


def _insert_alone(environment: dict[str, str]) -> float:
    """Seconds that PostgreSQL takes for the same rows, by psycopg, as many in a transaction."""
    columns = [column.name for column in Message.__table__.columns if column.name != "number"]
    names = ", ".join(f'"{name}"' for name in columns)
    insert = f"INSERT INTO messages ({names}) VALUES ({', '.join(['%s'] * len(columns))})"
    with psycopg.connect(dsn(environment["DATABASE_OWNER_URL"])) as owner:
        rows = owner.execute(f"SELECT {names} FROM messages ORDER BY id").fetchall()
        rows = [_adapted(row) for row in rows]
        db.session.rollback()  # what was read holds the tables that are emptied
        owner.execute("TRUNCATE messages CASCADE")
        owner.commit()
        started = time.perf_counter()
        with owner.cursor() as cursor:
            for start in range(0, len(rows), writing.AT_ONCE):
                cursor.executemany(insert, rows[start : start + writing.AT_ONCE])
                owner.commit()
        return time.perf_counter() - started


def _adapted(row: Sequence[Any]) -> list[Any]:
    return [psycopg.types.json.Jsonb(value) if isinstance(value, dict) else value for value in row]


def _send(mail: MailServer) -> float:
    """Seconds until all that can be sent was taken."""
    mail.forget()
    started = time.perf_counter()
    while sending.send(ORGANISATION):
        pass
    return time.perf_counter() - started


def _send_alone(mail: MailServer) -> float:
    """Seconds that smtplib takes for as many on one connection, from texts and HTML that lie ready."""
    number = len(mail.accepted())
    samples = [mail.message(each) for each in range(min(SAMPLE, number))]
    bodies = [(_part(each, "plain"), _part(each, "html")) for each in samples]
    with smtplib.SMTP("127.0.0.1", mail.port) as server:
        started = time.perf_counter()
        for each in range(number):
            server.send_message(_message(*bodies[each % len(bodies)], to=f"client{each}@example.org"))
        return time.perf_counter() - started


def _part(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    return str(part.get_content()) if part else ""


def _message(text: str, html: str, *, to: str) -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "bonjour@verger.example", to, "Votre paiement"
    message["Message-ID"], message["Date"] = make_msgid(domain="verger.example"), START
    message.set_content(text)
    message.add_alternative(html, subtype="html")
    return message


def _line(name: str, seconds: float, floor: float, size: int, limit: float) -> Line:
    return Line(name, seconds / size * 1000, floor / size * 1000, limit=limit)


def _peak() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
