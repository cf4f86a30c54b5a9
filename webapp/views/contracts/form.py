"""The form of a contract: creation and change. The service checks; its refusals stand beside their fields."""

from collections.abc import Callable
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from uuid import UUID

from flask_wtf import FlaskForm
from pydantic import TypeAdapter
from pydantic import ValidationError as ValidationFailure
from wtforms import (
    DateField,
    Field,
    FieldList,
    Form,
    FormField,
    HiddenField,
    IntegerField,
    SelectField,
    StringField,
    TextAreaField,
)
from wtforms.validators import Optional
from wtforms.widgets import TextInput

from webapp import clock
from webapp.errors import InvalidInputError
from webapp.french import field_amount, field_number, read_number
from webapp.models.contracts import ContractStatus, PaymentMethod
from webapp.services.clients.fields import list_commercials
from webapp.services.concurrent_edits import Difference, merge
from webapp.services.contact import clean_text
from webapp.services.contracts.editing import worded_differences
from webapp.services.contracts.fields import ContractFields, ContractLineFields
from webapp.services.organisations import list_companies

BLANK_LINES = 2
LARGEST = Decimal(10) ** 10


def _choose(kind: Callable[[str], Any]) -> Callable[[Any], Any]:
    """A select's value as ``kind``; the blank choice is None."""
    return lambda value: kind(str(value)) if value else None


class NumberField(Field):
    """A number as it is written in France: « 1 234,50 », rounded to ``step``."""

    widget = TextInput()

    def __init__(
        self, label: str, step: str = "0.01", show: Callable[[Decimal | None], str] = field_amount, **options: Any
    ) -> None:
        super().__init__(label, **options)
        self.step = Decimal(step)
        self.show = show

    def _value(self) -> str:
        if self.raw_data:
            return str(self.raw_data[0])
        return self.show(self.data)

    def process_formdata(self, valuelist: list[str]) -> None:
        """Read what was typed; a blank is None."""
        self.data = None
        number = read_number(valuelist[0]) if valuelist else None
        if number is None:
            return
        if not number.is_finite() or abs(number) >= LARGEST:
            raise ValueError("Ce n’est pas un nombre. Exemple\u202f: 1234,50")
        self.data = number.quantize(self.step, ROUND_HALF_UP)


class LineForm(Form):
    """A line of a contract; one without anything in it is left out."""

    label = StringField("Produit")
    quantity = NumberField("Quantité", "0.001", field_number)
    unit_price = NumberField("Prix unitaire", "0.0001")

    def written(self) -> ContractLineFields | None:
        """What stands in the line."""
        label = clean_text(self.label.data or "")
        if not label and self.quantity.data is None and self.unit_price.data is None:
            return None
        quantity = Decimal(1) if self.quantity.data is None else self.quantity.data
        return ContractLineFields(label=label, quantity=quantity, unit_price=self.unit_price.data)


class ContractForm(FlaskForm):  # type: ignore[misc]  # Flask-WTF has no types
    """A contract's fields and its lines; ``seen`` and ``base`` are the version that its editor started from."""

    reference = StringField("Référence")
    status = SelectField(
        "Statut", choices={status.value: status.label for status in ContractStatus}, coerce=ContractStatus
    )
    company_id = SelectField("Société", coerce=_choose(UUID))
    commercial_id = SelectField("Commercial à la signature", coerce=_choose(UUID))
    contract_type = StringField("Type")
    supplier = StringField("Fournisseur")
    description = TextAreaField("Description")
    amount = NumberField("Montant")
    signed_on = DateField("Signature", [Optional()])
    validated_on = DateField("Validation", [Optional()])
    starts_on = DateField("Début", [Optional()])
    ends_on = DateField("Fin", [Optional()])
    payment_method = SelectField(
        "Mode de paiement",
        choices={"": "—"} | {method.value: method.label for method in PaymentMethod},
        coerce=_choose(PaymentMethod),
    )
    withdrawal_day = IntegerField("Jour de prélèvement", [Optional()])
    lines = FieldList(FormField(LineForm))
    seen = HiddenField()
    base = HiddenField()

    def offer_choices(self, *, commercial_id: UUID | None) -> None:
        """Fill the selects; the present commercial is offered even after having left."""
        self.company_id.choices = {str(company.id): company.name for company in list_companies()}
        commercials = list_commercials(including=commercial_id)
        self.commercial_id.choices = {"": "Aucun"} | {
            str(commercial.id): commercial.full_name for commercial in commercials
        }

    def show(self, fields: ContractFields) -> None:
        """Put ``fields`` into the form, as what its editor starts from."""
        self._fill(fields)
        self._put("base", _FIELDS.dump_json(fields).decode())

    def show_merged(self, theirs: ContractFields) -> list[Difference]:
        """Start over from ``theirs``, keeping what was changed here; gives what the other person changed."""
        mine = self.written().normalised(today=clock.today())
        merged, differences = merge(self._started_from(), mine, theirs)
        self.show(theirs)
        self._fill(merged)
        return worded_differences(differences)

    def _started_from(self) -> ContractFields:
        """Nothing, where the browser sent something else: then all of it differs, and is shown."""
        try:
            return _FIELDS.validate_json(self.base.data or "")
        except ValidationFailure:
            return ContractFields()

    def _fill(self, fields: ContractFields) -> None:
        for name in ContractFields.__dataclass_fields__:
            if name != "lines":
                self._put(name, getattr(fields, name))
        while self.lines.entries:
            self.lines.pop_entry()
        for line in fields.lines:
            self.lines.append_entry({"label": line.label, "quantity": line.quantity, "unit_price": line.unit_price})

    def _put(self, name: str, value: object) -> None:
        self[name].process(None, value)
        self[name].raw_data = None  # else dates and numbers show what the browser sent

    def offer_blank_lines(self) -> None:
        """Room for more lines, below those that there are; as much after a refusal as before."""
        blank = sum(entry.form.written() is None for entry in self.lines)
        for _ in range(BLANK_LINES - blank):
            self.lines.append_entry({})

    def remember(self, changed_at: datetime) -> None:
        """The state that the editor has seen from now on."""
        self._put("seen", changed_at.isoformat())

    def written(self) -> ContractFields:
        """What stands in the form."""
        values = {name: self[name].data for name in ContractFields.__dataclass_fields__ if name != "lines"}
        lines = (entry.form.written() for entry in self.lines)
        return ContractFields(**values, lines=tuple(line for line in lines if line))

    def show_faults(self) -> None:
        """Stand every fault that the service would find beside its field, so that they are mended in one go."""
        for fault in self.written().faults(today=clock.today()):
            if not getattr(self, fault.field or "", self.reference).errors:
                self.show_refusal(fault)

    def show_refusal(self, error: InvalidInputError) -> None:
        """Stand the service's refusal beside its field."""
        field = getattr(self, error.field or "", self.reference)
        field.errors = [*field.errors, error.message]


_FIELDS = TypeAdapter(ContractFields)
