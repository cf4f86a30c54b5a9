"""What two clients have in common, and what follows from it: the rules, in SQL over sets of pairs.

E-mail and telephone are evidence only where few have them, and an e-mail only where it is not that of a role (info@).
Families share both: beside another first name they say nothing by themselves.
"""
# ruff: noqa: S608  put together from names and expressions of ours

SHARED_BY_MOST = 4
"""An e-mail or a telephone that more clients have is that of a firm, a family or a commercial, and no evidence."""
CLOSE_FIRST_NAME = 0.4
CLOSE_NAME = 0.6
"""From which likeness by trigrams on two first names, or two whole names, are close."""

ROLES = (
    "accueil", "achat", "achats", "admin", "administration", "agence", "bonjour", "bureau", "commande", "commandes",
    "commercial", "compta", "comptabilite", "contact", "contacts", "direction", "facturation", "factures", "gestion",
    "hello", "info", "infos", "information", "mail", "mairie", "no-reply", "noreply", "office", "postmaster",
    "recrutement", "rh", "sales", "sav", "secretariat", "service", "service-client", "serviceclient", "standard",
    "support", "vente", "ventes", "webmaster",
)  # fmt: skip


def email_key(client: str) -> str:
    """What is one mailbox has one key: what follows a plus does not count, nor do Gmail's dots; NULL for a role.

    ``client`` is the name of the row in the statement, which has the parameter ``roles``.
    """
    return f"""(
      SELECT CASE WHEN box = ANY(:roles) THEN NULL
        WHEN domain IN ('gmail.com', 'googlemail.com') THEN replace(box, '.', '') || '@gmail.com'
        ELSE box || '@' || domain END
      FROM (SELECT split_part(split_part({client}.email, '@', 1), '+', 1), split_part({client}.email, '@', 2))
        parts (box, domain)
    )"""


def _is_held_by_few(column: str) -> str:
    return f"""(SELECT count(*) FROM (
      SELECT FROM clients x WHERE x.organisation_id = :organisation_id AND x.{column} = a.{column}
        AND x.archived_at IS NULL
      LIMIT {SHARED_BY_MOST + 1}) holders) <= {SHARED_BY_MOST}"""


def _words(text: str) -> str:
    return f"regexp_replace(fold({text}), '[^a-z0-9]+', ' ', 'g')"


_NAMES = f"""(
  SELECT likeness = 1 AS name,
    CASE WHEN likeness = 1 THEN false
      WHEN a_last = b_last AND a_last <> '' THEN a_first = '' OR b_first = ''
        OR left(a_first, 1) = b_first OR left(b_first, 1) = a_first
        OR similarity(a_first, b_first) >= {CLOSE_FIRST_NAME}
      ELSE likeness >= {CLOSE_NAME} END AS close_name,
    likeness < 1 AND a_first = b_first AND length(a_first) > 2 AND a_last <> b_last AS first_name
  FROM (SELECT fold(a.last_name), fold(b.last_name), fold(a.first_name), fold(b.first_name),
      CASE WHEN a.name_key = '' THEN 0 ELSE similarity(a.name_key, b.name_key) END)
    folded (a_last, b_last, a_first, b_first, likeness)
)"""

COMPARED = f"""
facts AS MATERIALIZED (
  SELECT first_id, second_id, names.*,
    CASE WHEN {email_key("a")} = {email_key("b")} THEN {_is_held_by_few("email")} ELSE false END AS email,
    CASE WHEN a.phone = b.phone THEN {_is_held_by_few("phone")} ELSE false END AS phone,
    coalesce(a.birth_date = b.birth_date, false) AS birth_date,
    coalesce(a.birth_date <> b.birth_date, false) AS other_birth_date,
    coalesce(a.postcode = b.postcode AND a.country = b.country, false) AS postcode,
    coalesce(a.postcode = b.postcode AND {_words("a.address_line1")} = nullif({_words("b.address_line1")}, ''), false)
      AS address,
    coalesce(a.email <> b.email AND a.phone <> b.phone, false) AS other_contact
  FROM candidates
  JOIN clients a ON a.organisation_id = :organisation_id AND a.id = first_id AND a.archived_at IS NULL
  JOIN clients b ON b.organisation_id = :organisation_id AND b.id = second_id AND b.archived_at IS NULL
  CROSS JOIN LATERAL {_NAMES} names
),
compared AS (
  SELECT *, CASE
    WHEN name AND NOT other_birth_date AND (email AND phone OR birth_date AND (email OR phone OR postcode)) THEN 1
    WHEN NOT other_birth_date AND (
      name AND (email OR phone OR birth_date OR address)
      OR close_name AND (email AND phone OR birth_date AND (email OR phone OR postcode))
      OR first_name AND email AND phone
    ) THEN 2
    WHEN (name OR close_name) AND (email OR phone OR birth_date) THEN 3
    WHEN first_name AND (email OR phone) AND NOT other_birth_date THEN 3
    WHEN email AND phone AND birth_date THEN 3
    WHEN (name OR close_name) AND postcode AND NOT other_birth_date AND NOT other_contact THEN 3
  END AS score,
  array_remove(ARRAY[
    CASE WHEN email THEN 'email' END, CASE WHEN phone THEN 'phone' END, CASE WHEN name THEN 'name' END,
    CASE WHEN close_name THEN 'close_name' END, CASE WHEN first_name THEN 'first_name' END,
    CASE WHEN birth_date THEN 'birth_date' END, CASE WHEN other_birth_date THEN 'other_birth_date' END,
    CASE WHEN address THEN 'address' WHEN postcode THEN 'postcode' END
  ], NULL) AS evidence
  FROM facts
)
"""
"""From ``candidates (first_id, second_id)`` to ``compared``, whose ``score`` is NULL where nothing speaks for it.

The parameters are ``organisation_id`` and ``roles``.
"""
