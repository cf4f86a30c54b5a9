"""The address of a line as a lock freezes it, and what it lacks; in SQL, since a lock reads all of them at once."""

from sqlalchemy.dialects import postgresql

from webapp.services.contact import EXISTING_POSTCODE
from webapp.services.fulfilment.addresses import select_destinations

DESTINATIONS = str(
    select_destinations().compile(dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True})  # type: ignore[no-untyped-call]
)
"""A statement: see ``select_destinations``."""

FIELDS = ("recipient", "company", "line1", "line2", "postcode", "city", "country", "phone", "instructions")
_TRIMMED = {name: f"nullif(btrim(d.{name}), '')" for name in FIELDS}
_PAIRS = ", ".join(f"'{name}', {trimmed}" for name, trimmed in _TRIMMED.items())
ADDRESS = f"jsonb_strip_nulls(jsonb_build_object({_PAIRS}))"
"""An expression over ``d``, a row of DESTINATIONS: the address as JSON, without what is empty."""

FAULT = f"""
'Adresse incomplète\u202f: ' || nullif(concat_ws(', ',
  CASE WHEN {_TRIMMED["recipient"]} IS NULL THEN 'le destinataire manque' END,
  CASE WHEN {_TRIMMED["line1"]} IS NULL THEN 'la voie manque' END,
  CASE WHEN {_TRIMMED["postcode"]} IS NULL THEN 'le code postal manque'
       WHEN d.country = 'FR' AND btrim(d.postcode) !~ '{EXISTING_POSTCODE}' THEN
         'le code postal ' || btrim(d.postcode) || ' n’existe pas' END,
  CASE WHEN {_TRIMMED["city"]} IS NULL THEN 'la ville manque' END), '') || '.'
"""
"""As ADDRESS: the French sentence on what it lacks; NULL where it lacks nothing."""
