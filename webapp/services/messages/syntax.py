"""What a text may be made of: variables of its kind, conditions, a loop over a table. All else is refused, by its line.

The tree of the text is looked through before anything of it runs, so that the sandbox in which it runs afterwards is
a second wall, not the first.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches
from functools import lru_cache
from typing import NamedTuple

from jinja2 import StrictUndefined, Template, TemplateSyntaxError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from webapp.errors import InvalidInputError
from webapp.models.messages import MessageKind
from webapp.services.messages.kinds import KINDS, Variable, VariableType

FILTERS = ("upper", "lower", "capitalize", "title", "default", "join", "length", "first", "last")
DEEPEST = 30
"""How many constructs may stand in one another."""
_ALLOWED: tuple[type[nodes.Node], ...] = (
    nodes.Template,
    nodes.Output,
    nodes.TemplateData,
    nodes.Name,
    nodes.Const,
    nodes.If,
    nodes.For,
    nodes.CondExpr,
    nodes.And,
    nodes.Or,
    nodes.Not,
    nodes.Compare,
    nodes.Operand,
    nodes.Filter,
    nodes.Getattr,
)
_REFUSED: tuple[tuple[type[nodes.Node], str], ...] = (
    (nodes.Call, "un appel de fonction n’est pas permis"),
    (nodes.BinExpr, "un calcul n’est pas permis"),
    (nodes.UnaryExpr, "un calcul n’est pas permis"),
    (nodes.Getitem, "les crochets ne sont pas permis"),
    (nodes.Literal, "une liste n’est pas permise"),
)
_NOT_ALLOWED = "cette construction n’est pas permise"
_TEXT_THEN_TAG = re.compile(r"^(?![ \t]*(?:\{%[^{}\n]*%\}[ \t]*)+$)(.*[^-+\n])%\}$", re.MULTILINE)
"""A tag that ends a line on which there is more: the line ends there. A line of tags alone leaves nothing behind."""
_TAG = re.compile(r"\{%[-+]?\s*(if|for|endif|endfor)\b")
_UNKNOWN_TAG = re.compile(r"unknown tag '(.{1,40}?)'")


class Text(NamedTuple):
    """A subject (empty for an SMS) and a body, as they are written or as they were filled in."""

    subject: str
    body: str


class WrongTextError(InvalidInputError):
    """A text cannot be used as it is. ``field`` is « subject » or « body »; ``line``, from 1, where one is at fault."""

    def __init__(self, message: str, *, field: str, line: int | None = None) -> None:
        super().__init__(f"Ligne {line}\u202f: {message}" if line else message[0].upper() + message[1:], field=field)
        self.line = line


def to_markdown_literal(value: object) -> str:
    """A value so that Markdown shows it as it is: every sign that means something there is an entity instead."""
    return str(value).translate(_LITERALLY)


def as_typed(markdown: str) -> str:
    """A filled text as somebody would have typed it: what values hold is read as Markdown from then on."""
    return _ENTITY.sub(lambda entity: chr(int(entity[1])), markdown)


_ENTITY = re.compile(r"&#(\d{1,3});")
_LITERALLY = {ord(sign): f"&#{ord(sign)};" for sign in "\\`*_{}[]<>()#+-.!|~&=:\"'@$^"}


class _Environment(ImmutableSandboxedEnvironment):
    """Without globals, tests, and filters beyond a few."""

    def __init__(self, *, is_markdown: bool) -> None:
        super().__init__(
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            finalize=to_markdown_literal if is_markdown else str,
            cache_size=0,
        )
        self.globals.clear()
        self.tests.clear()
        self.filters = {name: self.filters[name] for name in FILTERS}


_ENVIRONMENTS = {is_markdown: _Environment(is_markdown=is_markdown) for is_markdown in (False, True)}


@lru_cache(maxsize=1024)
def compiled(source: str, code: MessageKind, field: str, *, is_markdown: bool) -> Template:
    """A text of that kind, ready to be filled in; looked through and compiled once a process. Raises WrongTextError."""
    environment = _ENVIRONMENTS[is_markdown]
    try:
        tree = environment.parse(_TEXT_THEN_TAG.sub(r"\1+%}", source))
        _Checker(field, {variable.name: variable for variable in KINDS[code].all_variables}).check(tree)
        return environment.from_string(tree)
    except TemplateSyntaxError as error:
        raise _translated(error, source, field) from error
    except (RecursionError, SyntaxError, MemoryError) as error:
        raise WrongTextError("trop de constructions les unes dans les autres.", field=field) from error
    except ValueError as error:
        raise WrongTextError("un nombre est trop long.", field=field) from error


class _Checker:
    """Walks through the tree of one text, with the names that hold at each place."""

    def __init__(self, field: str, variables: Mapping[str, Variable]) -> None:
        self._field = field
        self._variables = variables

    def check(self, tree: nodes.Template) -> None:
        """Raises WrongTextError at the first construct that is not allowed."""
        for child in tree.iter_child_nodes():
            self._visit(child, {}, 1)

    def _visit(self, node: nodes.Node, rows: Mapping[str, Variable], depth: int) -> None:
        """``rows``: the names of rows of the loops around, each with the table that it is of."""
        if depth > DEEPEST:
            raise self._wrong("trop de constructions les unes dans les autres.", node)
        if not isinstance(node, _ALLOWED):
            reason = next((sentence for refused, sentence in _REFUSED if isinstance(node, refused)), _NOT_ALLOWED)
            raise self._wrong(f"{reason}.", node)
        if isinstance(node, nodes.For):
            self._visit_loop(node, rows, depth)
        elif isinstance(node, nodes.Getattr):
            self._check_column(node, rows)
        else:
            self._check(node, rows)
            about_tables = self._asks_for_table(node, rows)
            self._visit_all((child for child in node.iter_child_nodes() if child is not about_tables), rows, depth)

    def _check(self, node: nodes.Node, rows: Mapping[str, Variable]) -> None:
        match node:
            case nodes.Filter():
                self._check_filter(node)
            case nodes.Name():
                self._check_name(node, rows)
            case nodes.Compare() if any(operand.op not in ("eq", "ne") for operand in node.ops):
                raise self._wrong("seules les comparaisons == et != sont permises.", node)

    def _asks_for_table(self, node: nodes.Node, rows: Mapping[str, Variable]) -> nodes.Name | None:
        """The name of a table where it may stand outside a loop: « if impayes », « impayes | length »."""
        match node:
            case nodes.If(test=nodes.Name() as name) | nodes.Filter(name="length", node=nodes.Name() as name):
                is_table = name.name not in rows and self._find(name).type is VariableType.TABLE
                return name if is_table else None
        return None

    def _visit_all(self, children: Iterable[nodes.Node], rows: Mapping[str, Variable], depth: int) -> None:
        for child in children:
            self._visit(child, rows, depth + 1)

    def _visit_loop(self, loop: nodes.For, rows: Mapping[str, Variable], depth: int) -> None:
        if rows:
            raise self._wrong("une boucle dans une boucle n’est pas permise.", loop)
        if loop.recursive or loop.test is not None or not isinstance(loop.target, nodes.Name):
            raise self._wrong("écrivez la boucle ainsi\u202f: {% for ligne in tableau %} … {% endfor %}.", loop)
        if not isinstance(loop.iter, nodes.Name):
            raise self._wrong(f"une boucle parcourt un tableau{self._tables()}, rien d’autre.", loop)
        table = self._find(loop.iter)
        if table.type is not VariableType.TABLE:
            raise self._wrong(f"«\u00a0{table.name}\u00a0» n’est pas un tableau{self._tables()}.", loop)
        self._visit_all(loop.body, {loop.target.name: table}, depth)
        self._visit_all(loop.else_, rows, depth)

    def _check_column(self, node: nodes.Getattr, rows: Mapping[str, Variable]) -> None:
        table = rows.get(node.node.name) if isinstance(node.node, nodes.Name) else None
        if table is None:
            raise self._wrong("un point ne suit que la ligne d’une boucle.", node)
        columns = [column.name for column in table.columns]
        if node.attr not in columns:
            unknown = f"le tableau «\u00a0{table.name}\u00a0» n’a pas de colonne «\u00a0{node.attr}\u00a0»."
            raise self._wrong(unknown + _nearest(node.attr, columns), node)

    def _check_filter(self, node: nodes.Filter) -> None:
        if node.name not in FILTERS or node.kwargs or node.dyn_args or node.dyn_kwargs:
            known = ", ".join(FILTERS)
            raise self._wrong(
                f"«\u00a0| {node.name}\u00a0» n’est pas permis ainsi. Filtres permis\u202f: {known}.", node
            )

    def _check_name(self, node: nodes.Name, rows: Mapping[str, Variable]) -> None:
        if table := rows.get(node.name):
            columns = ", ".join(f"{node.name}.{column.name}" for column in table.columns)
            raise self._wrong(f"nommez une colonne de «\u00a0{node.name}\u00a0»\u202f: {columns}.", node)
        if self._find(node).type is VariableType.TABLE:
            loop = f"{{% for ligne in {node.name} %}} … {{% endfor %}}"
            raise self._wrong(f"«\u00a0{node.name}\u00a0» est un tableau\u202f: parcourez-le par {loop}.", node)

    def _find(self, node: nodes.Name) -> Variable:
        variable = self._variables.get(node.name)
        if variable is None:
            unknown = f"la variable «\u00a0{node.name}\u00a0» n’existe pas."
            raise self._wrong(unknown + _nearest(node.name, self._variables), node)
        return variable

    def _tables(self) -> str:
        names = [name for name, variable in self._variables.items() if variable.type is VariableType.TABLE]
        return f" ({', '.join(names)})" if names else ", et ce message n’en a pas"

    def _wrong(self, sentence: str, node: nodes.Node) -> WrongTextError:
        return WrongTextError(sentence, field=self._field, line=node.lineno)


def _nearest(name: str, names: Collection[str]) -> str:
    near = get_close_matches(name.lower(), names, n=1)
    return f" Vouliez-vous dire «\u00a0{near[0]}\u00a0»\u202f?" if near else ""


def _translated(error: TemplateSyntaxError, source: str, field: str) -> WrongTextError:
    """Jinja's own refusal in French, at the line where the tag begins that is not closed."""
    message = error.message or ""
    unknown = _UNKNOWN_TAG.search(message)
    if unknown and unknown[1].startswith("end"):
        sentence = f"{{% {unknown[1]} %}} ne ferme rien."
    elif unknown:
        sentence = f"la balise «\u00a0{unknown[1]}\u00a0» n’est pas permise."
    elif "looking for the following tags" in message and (opened := _innermost_open(source)):
        line, tag = opened
        return WrongTextError(f"{{% {tag} … %}} n’est pas fermé par {{% end{tag} %}}.", field=field, line=line)
    else:
        sentence = "cette balise est mal écrite. Exemples\u202f: {{ nom }}, {% if prenom %} … {% endif %}."
    return WrongTextError(sentence, field=field, line=error.lineno)


def _innermost_open(source: str) -> tuple[int, str] | None:
    """The line and name of the last tag that stays open."""
    opened: list[tuple[int, str]] = []
    for tag in _TAG.finditer(source):
        if tag[1].startswith("end") and opened:
            opened.pop()
        elif not tag[1].startswith("end"):
            opened.append((source.count("\n", 0, tag.start()) + 1, tag[1]))
    return opened[-1] if opened else None
