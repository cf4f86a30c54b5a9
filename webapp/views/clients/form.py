"""The form of a client: creation and change. Each check is that of the service, shown beside its field."""

import unicodedata
from collections.abc import Callable
from typing import Any
from uuid import UUID

import phonenumbers
from flask_wtf import FlaskForm
from pydantic import TypeAdapter
from pydantic import ValidationError as ValidationFailure
from wtforms import DateField, HiddenField, IntegerField, SelectField, StringField
from wtforms.validators import Length, Optional, ValidationError
from wtforms.widgets import HiddenInput

from webapp import clock, french
from webapp.errors import InvalidInputError
from webapp.models.clients import Civility, ClientStatus
from webapp.services.clients.banking import HOLDER_LENGTH, BankDetails
from webapp.services.clients.fields import LENGTHS, ClientFields, check_birth_date, list_commercials
from webapp.services.concurrent_edits import Difference, merge
from webapp.services.contact import (
    EMAIL_LENGTH,
    check_bic,
    check_iban,
    clean_text,
    normalise_email,
    normalise_phone,
    normalise_postcode,
)
from webapp.views import formats


def _choose(kind: Callable[[str], Any]) -> Callable[[Any], Any]:
    """A select's value as ``kind``; the blank choice is None."""
    return lambda value: kind(str(value)) if value else None


def _text(label: str, length: int, **options: Any) -> StringField:
    return StringField(
        label, [Length(max=length, message=f"C’est trop long\u202f: {length} caractères au plus.")], [_clean], **options
    )


def _clean(value: str | None) -> str:
    return clean_text(value or "")


def _countries() -> dict[str, str]:
    """Names by code, France first."""
    others = phonenumbers.SUPPORTED_REGIONS - {"FR"}
    by_name = sorted(others, key=lambda code: unicodedata.normalize("NFKD", french.country(code)))
    return {code: french.country(code) for code in ("FR", *by_name)}


COUNTRIES = _countries()


class ClientForm(FlaskForm):  # type: ignore[misc]  # Flask-WTF has no types
    """A client's fields, and optionally a bank account to add."""

    civility = SelectField(
        "Civilité",
        choices={"": "—"} | {civility.value: civility.value for civility in Civility},
        coerce=_choose(Civility),
    )
    last_name = _text("Nom", LENGTHS["last_name"])
    first_name = _text("Prénom", LENGTHS["first_name"])
    birth_date = DateField("Date de naissance", [Optional()])
    email = _text("E-mail", EMAIL_LENGTH)
    phone = _text("Téléphone", 40)
    address_line1 = _text("Adresse", LENGTHS["address_line1"])
    address_line2 = _text("Complément d’adresse", LENGTHS["address_line2"])
    postcode = _text("Code postal", 20)
    city = _text("Ville", LENGTHS["city"])
    country = SelectField("Pays", default="FR")
    delivery_name = _text("Destinataire", LENGTHS["delivery_name"])
    delivery_line1 = _text("Adresse", LENGTHS["delivery_line1"])
    delivery_line2 = _text("Complément d’adresse", LENGTHS["delivery_line2"])
    delivery_postcode = _text("Code postal", 20)
    delivery_city = _text("Ville", LENGTHS["delivery_city"])
    delivery_country = SelectField("Pays", default="FR")
    delivery_instructions = _text("Consignes de livraison", LENGTHS["delivery_instructions"])
    status = SelectField(
        "Statut",
        choices={status.value: status.label for status in ClientStatus},
        coerce=ClientStatus,
        default="prospect",
    )
    commercial_id = SelectField("Commercial", coerce=_choose(UUID))
    iban = _text("IBAN", 60)
    bic = _text("BIC", 20)
    holder = _text("Titulaire du compte", HOLDER_LENGTH)
    # What the editor started from: tells their changes from somebody else's.
    version = IntegerField(widget=HiddenInput(), default=0)
    base = HiddenField()

    def offer_choices(self, present: ClientFields) -> None:
        """Fill the selects, with the present values even where they are no longer offered."""
        self.country.choices = COUNTRIES | {present.country: french.country(present.country)}
        self.delivery_country.choices = COUNTRIES | {present.delivery_country: french.country(present.delivery_country)}
        commercials = list_commercials(including=present.commercial_id)
        self._commercials = {"": "Aucun"} | {str(commercial.id): commercial.full_name for commercial in commercials}
        self.commercial_id.choices = self._commercials

    def written(self) -> ClientFields:
        """What stands in the form."""
        return ClientFields(**{name: self[name].data for name in ClientFields.__dataclass_fields__})

    def bank(self) -> BankDetails | None:
        """The account to add, if one was written."""
        if not self.iban.data:
            return None
        return BankDetails(iban=self.iban.data, bic=self.bic.data or None, holder=self.holder.data or None)

    def show(self, fields: ClientFields, *, version: int) -> None:
        """Put ``fields`` into the form, as what its editor starts from."""
        self._fill(fields)
        self._put("version", version)
        self._put("base", _to_json(fields))

    def show_merged(self, theirs: ClientFields, *, version: int) -> list[Difference]:
        """Start over from ``theirs``, keeping what was changed here; gives what the other person changed."""
        mine = self.written().normalised(today=clock.today())
        merged, differences = merge(_from_json(self.base.data) or theirs, mine, theirs)
        self.show(theirs, version=version)
        self._fill(merged)
        return [self._worded(difference) for difference in differences]

    def _worded(self, difference: Difference) -> Difference:
        """The same in words."""
        base, theirs, mine = (
            self._commercials.get(str(value or ""), french.NOTHING)
            if difference.field == "commercial_id"
            else formats.field_value(value, difference.field)
            for value in (difference.base, difference.theirs, difference.mine)
        )
        return Difference(formats.field_label(difference.field), base, theirs, mine)

    def _fill(self, fields: ClientFields) -> None:
        for name in ClientFields.__dataclass_fields__:
            self._put(name, getattr(fields, name))
        self._put("phone", formats.phone(fields.phone) if fields.phone else None)

    def _put(self, name: str, value: object) -> None:
        self[name].process(None, value)
        self[name].raw_data = None  # else dates and numbers show what the browser sent

    def show_refusal(self, error: InvalidInputError) -> None:
        """Stand the service's refusal beside its field."""
        field = getattr(self, error.field or "", self.last_name)
        field.errors = [*field.errors, error.message]

    def validate_last_name(self, field: StringField) -> None:
        if not field.data and not self.first_name.data:
            raise ValidationError("Indiquez au moins un nom ou un prénom.")

    def validate_birth_date(self, field: DateField) -> None:
        if field.data:
            _check(check_birth_date, field.data, today=clock.today())

    def validate_email(self, field: StringField) -> None:
        if field.data:
            _check(normalise_email, field.data)

    def validate_phone(self, field: StringField) -> None:
        if field.data:
            _check(normalise_phone, field.data)

    def validate_postcode(self, field: StringField) -> None:
        if field.data:
            _check(normalise_postcode, field.data, self.country.data)

    def validate_delivery_postcode(self, field: StringField) -> None:
        if field.data:
            _check(normalise_postcode, field.data, self.delivery_country.data)

    def validate_iban(self, field: StringField) -> None:
        if field.data:
            _check(check_iban, field.data)
        elif self.bic.data or self.holder.data:
            raise ValidationError("Indiquez aussi l’IBAN.")

    def validate_bic(self, field: StringField) -> None:
        if field.data:
            _check(check_bic, field.data)


_FIELDS = TypeAdapter(ClientFields)


def _to_json(fields: ClientFields) -> str:
    return _FIELDS.dump_json(fields).decode()


def _from_json(text: str | None) -> ClientFields | None:
    """What ``_to_json`` wrote; None where the browser sent something else."""
    try:
        return _FIELDS.validate_json(text or "")
    except ValidationFailure:
        return None


def _check(check: Callable[..., object], *values: object, **options: object) -> None:
    try:
        check(*values, **options)
    except InvalidInputError as error:
        raise ValidationError(error.message) from error
