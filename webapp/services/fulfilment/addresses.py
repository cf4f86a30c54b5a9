"""Where a subscription's things go: its own address, else its client's delivery address, else its client's main one.

Addresses are read by sets: these are expressions of SQL, over ``s`` (subscriptions) and ``c`` (clients), so that a lock
reads a hundred thousand of them in one statement.
"""

_NAME = "c.first_name || ' ' || c.last_name"
_RECIPIENT = f"coalesce(c.delivery_name, {_NAME})"


def _address(*, recipient: str, line1: str, line2: str, place: str, **more: str) -> str:
    """``place`` is what the columns of postcode, city and country begin with."""
    fields = {
        "recipient": recipient,
        "line1": line1,
        "line2": line2,
        **{name: f"{place}{name}" for name in ("postcode", "city")},
        "country": f"coalesce({place}country, 'FR')",
        **more,
    }
    pairs = ", ".join(f"'{name}', nullif(btrim({value}), '')" for name, value in fields.items())
    return f"jsonb_build_object({pairs})"


_OWN = _address(
    recipient=f"coalesce(s.delivery_name, {_NAME})",
    company="s.delivery_company",
    line1="s.delivery_line1",
    line2="s.delivery_line2",
    place="s.delivery_",
    phone="coalesce(s.delivery_phone, c.phone)",
    instructions="s.delivery_instructions",
)
_DELIVERY = _address(
    recipient=_RECIPIENT,
    line1="c.delivery_line1",
    line2="c.delivery_line2",
    place="c.delivery_",
    phone="c.phone",
    instructions="c.delivery_instructions",
)
_MAIN = _address(
    recipient=_RECIPIENT,
    line1="c.address_line1",
    line2="c.address_line2",
    place="c.",
    phone="c.phone",
    instructions="c.delivery_instructions",
)

ADDRESS = f"""
jsonb_strip_nulls(CASE
  WHEN num_nonnulls(s.delivery_line1, s.delivery_postcode, s.delivery_city) > 0 THEN {_OWN}
  WHEN num_nonnulls(c.delivery_line1, c.delivery_postcode, c.delivery_city) > 0 THEN {_DELIVERY}
  ELSE {_MAIN} END)
"""
"""JSON: recipient, company, line1 (« 12 bis rue des Lilas »), line2, postcode, city, country (ISO 3166 alpha-2), phone,
instructions; what is empty has no key."""

_FRENCH_POSTCODE = "^(0[1-9]|[1-8][0-9]|9[0-578])[0-9]{3}$"

FAULT = f"""
'Adresse incomplète\u202f: ' || nullif(concat_ws(', ',
  CASE WHEN address->>'recipient' IS NULL THEN 'le destinataire manque' END,
  CASE WHEN address->>'line1' IS NULL THEN 'la voie manque' END,
  CASE WHEN address->>'postcode' IS NULL THEN 'le code postal manque'
       WHEN address->>'country' = 'FR' AND address->>'postcode' !~ '{_FRENCH_POSTCODE}' THEN
         'le code postal ' || (address->>'postcode') || ' n’existe pas' END,
  CASE WHEN address->>'city' IS NULL THEN 'la ville manque' END), '') || '.'
"""
"""Over a column ``address``: the French sentence on what it lacks; NULL where it lacks nothing."""
