"""A million clients in one organisation, made by PostgreSQL in sets: same size, same people.

Names follow a power law (the commonest surname is borne by about 0.3 % of the people, as in France), commercials
are of very uneven size (the smallest has about one client in a thousand), a third came from WinLeadPlus, and those
were all changed lately, as a synchronisation does. E-mail domains are reserved ones.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import product
from uuid import UUID

import psycopg

ORGANISATION = UUID("00000000-0000-7000-8000-000000000001")
USER = UUID("00000000-0000-7000-8000-000000000002")
COMMERCIALS = 50
CHUNK = 100_000

FIRST_NAMES = (
    "Marie Jean Pierre Michel André Philippe Nathalie Isabelle Sylvie Catherine Nicolas Christophe Julien Stéphanie "
    "Céline Françoise Thomas Émilie Élodie Léa Chloé Camille Inès Zoé Noël Loïc Anaïs Hélène Jérôme Gaël Benoît "
    "Jean-Luc Jean-Pierre Marie-Claire Anne-Sophie Maël Éric Cédric Aurélie Mélanie Océane Théo Hugo Louis Jules "
    "Arthur Lucas Raphaël Gabriel Adam Liam Ethan Paul Victor Antoine Mathis Nathan Enzo Manon Emma Louise Alice "
    "Jade Lina Mila Rose Anna Ambre Juliette Romane Clara Margaux Lucie Agathe Éva Nina Charlotte Sarah Mohamed "
    "Fatima Karim Nadia Samir Leïla Yasmine Rachid Amélie Bernadette Yvette Geneviève Gérard Roger Marcel Raymond"
).split()
SURNAMES = (
    "Martin Bernard Thomas Petit Robert Richard Durand Dubois Moreau Laurent Simon Michel Lefebvre Leroy Roux David "
    "Bertrand Morel Fournier Girard Bonnet Dupont Lambert Fontaine Rousseau Vincent Müller Lefèvre Faure André "
    "Mercier Blanc Guérin Boyer Garnier Chevalier François Legrand Gauthier Garcia Perrin Robin Clément Morin Nicolas "
    "Henry Roussel Mathieu Gautier Masson Marchand Duval Denis Dumont Marie Lemaire Noël Meyer Dufour Meunier Brun "
    "Blanchard Giraud Joly Rivière Lucas Brunet Gaillard Barbier Arnaud Martinez Gérard Roche Renard Schmitt Roy "
    "Leroux Colin Vidal Caron Picard Roger Fabre Aubert Lemoine Renaud Dumas Lacroix Olivier Philippe Bourgeois Pierre"
).split()
STEMS = "Bel Bois Cas Cham Char Cour Dam Del Des Fer Flam Fou Gal Gran Gui Hau Jal Jou Lam Lar Mal Mar Mon Nor".split()
MIDDLES = "ber bou cha chi dou du fau ga gne lai lan lle mei mou né ni pei pré ron ser ta ti tre va vi".split()
ENDINGS = "ard aud aux eau el er et eux ier in on ot oux uis ville court mont ac ec ieu".split()
TOWNS = (
    "Paris Marseille Lyon Toulouse Nice Nantes Montpellier Strasbourg Bordeaux Lille Rennes Reims Toulon Saint-Étienne "
    "Grenoble Dijon Angers Nîmes Villeurbanne Clermont-Ferrand Aix-en-Provence Brest Tours Amiens Limoges Annecy "
    "Perpignan Metz Besançon Orléans Rouen Mulhouse Caen Nancy Roubaix Tourcoing Avignon Poitiers Dunkerque Béziers"
).split()

# UUIDv7, as the application makes them: in order of arrival.
BENCH_ID = """
  (lpad(to_hex(1760000000000 + {i}::bigint * 100), 12, '0') || '7' || substr(md5({i}::text), 1, 3)
   || '8' || substr(md5({i}::text), 5, 15))::uuid
"""

CLIENTS = f"""
INSERT INTO clients (organisation_id, id, source, status, commercial_id, last_name, first_name, email, phone, city,
                     postcode, contracts_count, contract_references, changed_at, created_at)
SELECT %(organisation)s, {BENCH_ID.format(i="i")}, source,
       CASE WHEN die > 0.97 THEN 'inactive' WHEN contracts > 0 THEN 'active' ELSE 'prospect' END,
       commercials.id, surname, drawn.first_name,
       CASE WHEN i %% 20 > 0 THEN lower(left(fold(drawn.first_name), 1) || replace(fold(surname), ' ', '')) || i
         || '@' || (ARRAY['example.org', 'example.com', 'exemple.test'])[1 + i %% 3] END,
       CASE WHEN i %% 10 > 0 THEN '+336' || lpad(((i::bigint * 7919 + 39980000) %% 100000000)::text, 8, '0') END,
       town, lpad((i %% 95000 + 1000)::text, 5, '0'), contracts,
       (SELECT coalesce(string_agg('CT' || lpad((i * 4 + k)::text, 8, '0'), ' '), '')
        FROM generate_series(1, contracts) k),
       CASE WHEN source IS NULL THEN timestamptz '2026-11-01 08:00Z' - i * die * interval '31 seconds'
         ELSE timestamptz '2026-11-02 10:00Z' + i / 500 * interval '1 second' END,
       timestamptz '2026-01-01 08:00Z' + i %% 300000 * interval '1 minute'
FROM (
  SELECT i, random() AS die, CASE WHEN random() < 0.3 THEN 'WinLeadPlus' END AS source,
         (%(first_names)s::text[])[1 + floor(%(first_names_count)s * random() ^ 1.3)::int] AS first_name,
         (%(surnames)s::text[])[1 + floor(%(surnames_count)s * random() ^ 1.6)::int] AS surname,
         (%(towns)s::text[])[1 + floor(%(towns_count)s * random() ^ 1.5)::int] AS town,
         CASE WHEN random() < 0.85 THEN 1 + floor(%(most)s * random() ^ %(bend)s::float8)::int ELSE 0 END AS contracts,
         CASE WHEN random() < 0.001 THEN %(commercials)s - 1
              WHEN random() < 0.95 THEN floor((%(commercials)s - 1) * random() ^ 2)::int END AS commercial
  FROM generate_series(%(start)s::int, %(stop)s::int) i
) drawn
LEFT JOIN commercials ON commercials.organisation_id = %(organisation)s AND commercials.external_id = commercial::text
"""

CONTRACTS = f"""
INSERT INTO contracts (organisation_id, id, client_id, company_id, commercial_id, reference, status, amount, signed_at,
                       source, changed_at, created_at)
SELECT %(organisation)s, {BENCH_ID.format(i="('x' || substr(reference, 3, 8))::bit(32)::int")}, clients.id,
       companies.id, clients.commercial_id, reference, 'active', 49.90, clients.created_at, clients.source,
       clients.changed_at, clients.created_at
FROM clients
JOIN companies ON companies.organisation_id = clients.organisation_id
CROSS JOIN LATERAL regexp_split_to_table(clients.contract_references, ' ') reference
WHERE clients.organisation_id = %(organisation)s AND clients.contracts_count > 0
"""


# Of a million clients: most have agreed to be called, many to e-mails, 5,000 to SMS, and a dozen to partners.
CONSENTS = """
INSERT INTO consents (organisation_id, id, client_id, purpose, state, at, channel, created_at)
SELECT organisation_id, gen_random_uuid(), id, purpose, state, created_at, 'shop', created_at
FROM (SELECT *, row_number() OVER (ORDER BY id) AS n FROM clients WHERE organisation_id = %(organisation)s) clients
CROSS JOIN LATERAL (VALUES
  ('prospection_phone', CASE WHEN n %% 20 > 0 THEN 'given' END),
  ('prospection_email', CASE WHEN n %% 10 < 4 THEN 'given' WHEN n %% 100 > 96 THEN 'withdrawn' END),
  ('prospection_sms', CASE WHEN n %% 200 = 0 THEN 'given' END),
  ('partners', CASE WHEN n %% 80000 = 1 THEN 'given' END)
) said (purpose, state)
WHERE state IS NOT NULL
"""
PRESENT_CONSENTS = """
INSERT INTO present_consents (organisation_id, client_id, purpose, state, at, consent_id)
SELECT organisation_id, client_id, purpose, state, at, id FROM consents WHERE organisation_id = %(organisation)s
"""


# Three in ten gave an IBAN, one in a hundred an active mandate; a quarter was called within the last two years.
ACCOUNTS = """
INSERT INTO bank_accounts (organisation_id, id, client_id, iban, iban_index, iban_masked, created_at)
SELECT organisation_id, gen_random_uuid(), id, 'x', uuid_send(gen_random_uuid()), 'FR76', created_at
FROM clients WHERE organisation_id = %(organisation)s AND hashtext(id::text) %% 10 IN (0, 1, 2)
"""
MANDATES = """
INSERT INTO mandates (organisation_id, id, client_id, bank_account_id, status, created_at)
SELECT organisation_id, gen_random_uuid(), client_id, id, 'active', created_at
FROM bank_accounts WHERE organisation_id = %(organisation)s AND hashtext(client_id::text) %% 100 = 0
"""
CALLS = """
INSERT INTO timeline_events (organisation_id, id, client_id, kind, at)
SELECT organisation_id, gen_random_uuid(), id, 'call',
       timestamptz '2026-11-20 09:00Z' - abs(hashtext('x' || id)) %% 1051200 * interval '1 minute'
FROM clients WHERE organisation_id = %(organisation)s AND hashtext('c' || id) %% 4 = 0
"""
CONTACTS = """
INSERT INTO last_contacts (organisation_id, client_id, at)
SELECT organisation_id, client_id, max(at) FROM timeline_events
WHERE organisation_id = %(organisation)s GROUP BY organisation_id, client_id
"""


def make_assets(owner: psycopg.Connection, say: Callable[[str], None]) -> None:
    """Bank accounts, mandates and calls of the clients of ``make_clients``, and when they were last in contact."""
    tables = ("bank_accounts", "mandates", "timeline_events", "last_contacts")
    with owner.transaction(), without_indexes(owner, *tables):
        for statement in (ACCOUNTS, MANDATES, CALLS, CONTACTS):
            owner.execute(statement, {"organisation": ORGANISATION})
    owner.execute("VACUUM ANALYZE")
    say("accounts, mandates and calls")


def make_consents(owner: psycopg.Connection, say: Callable[[str], None]) -> None:
    """What the clients of ``make_clients`` have consented to; one row for each purpose that a client spoke about."""
    with owner.transaction(), without_indexes(owner, "consents", "present_consents"):
        for statement in (CONSENTS, PRESENT_CONSENTS):
            owner.execute(statement, {"organisation": ORGANISATION})
    owner.execute("VACUUM ANALYZE")
    say("consents")


def make_clients(
    owner: psycopg.Connection,
    size: int,
    say: Callable[[str], None],
    *,
    make_contracts: Callable[[psycopg.Connection], None] | None = None,
    most: int = 3,
    bend: float = 2,
) -> None:
    """Fill the tables, which hold no client yet; ``owner`` owns them. A minute or two for a million.

    ``make_contracts`` makes other contracts than ours from the clients' references. A client who has any has up to
    ``most`` (no more than 4), the fewer the greater ``bend`` is.
    """
    with owner.transaction():
        owner.execute("SELECT setseed(0.42)")
        _make_house(owner)
        with without_indexes(owner, "clients", "contracts"):
            for start in range(1, size + 1, CHUNK):
                stop = min(size, start + CHUNK - 1)
                owner.execute(CLIENTS, _drawn_from() | {"start": start, "stop": stop, "most": most, "bend": bend})
                say(f"{stop:,} clients")
            (make_contracts or _make_contracts)(owner)
            say("contracts")
        say("indexes")
    owner.execute("VACUUM ANALYZE")
    say("vacuum")


def _make_contracts(owner: psycopg.Connection) -> None:
    owner.execute(CONTRACTS, {"organisation": ORGANISATION})


def _make_house(owner: psycopg.Connection) -> None:
    """The organisation, its company, its commercials and the user who asks."""
    given = {"organisation": ORGANISATION, "user": USER, "commercials": COMMERCIALS}
    owner.execute(
        "INSERT INTO organisations (id, slug, name, created_at) VALUES (%(organisation)s, 'bench', 'Bench', now())",
        given,
    )
    owner.execute(
        "INSERT INTO companies (organisation_id, id, name, is_default, created_at)"
        " VALUES (%(organisation)s, gen_random_uuid(), 'Bench', true, now())",
        given,
    )
    owner.execute(
        "INSERT INTO users (organisation_id, id, first_name, last_name, roles, created_at)"
        " VALUES (%(organisation)s, %(user)s, 'Camille', 'Banc', '{commercial}', now())",
        given,
    )
    owner.execute(
        "INSERT INTO commercials (organisation_id, id, external_id, first_name, last_name, created_at)"
        " SELECT %(organisation)s, gen_random_uuid(), n::text, 'Dominique', 'Vendeur ' || n, now()"
        " FROM generate_series(0, %(commercials)s - 1) n",
        given,
    )


def _drawn_from() -> dict[str, object]:
    """The pots that names are drawn from; the same at every call."""
    made = ["".join(parts).capitalize() for parts in product(STEMS, MIDDLES, ENDINGS)]
    random.Random(42).shuffle(made)
    surnames = SURNAMES + made
    pots = {"first_names": FIRST_NAMES, "surnames": surnames, "towns": TOWNS}
    counts = {f"{name}_count": len(pot) for name, pot in pots.items()}
    return {**pots, **counts, "organisation": ORGANISATION, "commercials": COMMERCIALS}


@contextmanager
def without_indexes(owner: psycopg.Connection, *tables: str) -> Iterator[None]:
    """Indexes are quicker made whole, and what triggers would keep is right as it is written, so they may rest."""
    indexes = owner.execute(
        "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index"
        " WHERE indrelid = ANY(%s::regclass[]) AND NOT indisunique",
        [list(tables)],
    ).fetchall()
    for name, _ in indexes:
        owner.execute(f"DROP INDEX {name}")
    for table in tables:
        owner.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
    yield
    owner.execute("SET LOCAL maintenance_work_mem = '512MB'")
    for _, definition in indexes:
        owner.execute(definition)
    for table in tables:
        owner.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
