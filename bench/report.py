"""What a benchmark hands back, as a table for people and as JSON for machines."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Line:
    """One thing measured: ``value`` against ``floor``, both in ``unit``; less is better.

    ``limit`` is the highest ratio that we accept; ``details`` are further figures in the same unit, by column, and
    ``detail_limits`` the highest that we accept of those.
    """

    name: str
    value: float
    floor: float | None = None
    unit: str = "ms"
    limit: float | None = None
    details: Mapping[str, float] = field(default_factory=dict)
    detail_limits: Mapping[str, float] = field(default_factory=dict)

    @property
    def ratio(self) -> float | None:
        """How many times the floor; None where there is no floor."""
        return self.value / self.floor if self.floor else None

    @property
    def misses(self) -> list[str]:
        """What is above its limit, in words; empty when all is well."""
        missed = []
        if self.limit is not None and self.ratio is not None and self.ratio > self.limit:
            missed.append(f"ratio > {self.limit:g}")
        missed += [
            f"{name} > {limit:g}" for name, limit in self.detail_limits.items() if self.details.get(name, 0) > limit
        ]
        return missed


@dataclass(frozen=True)
class Report:
    """A benchmark's lines at one size, with notes that a reader of the figures needs."""

    benchmark: str
    size: int
    lines: list[Line]
    notes: list[str] = field(default_factory=list)

    def as_json(self) -> str:
        """One JSON object with everything, ratios worked out."""
        lines = [
            {
                "name": line.name,
                "value": line.value,
                "floor": line.floor,
                "ratio": line.ratio,
                "unit": line.unit,
                "limit": line.limit,
                **line.details,
                "misses": line.misses,
            }
            for line in self.lines
        ]
        content = {"benchmark": self.benchmark, "size": self.size, "lines": lines, "notes": self.notes}
        return json.dumps(content, ensure_ascii=False, indent=2)

    def as_table(self) -> str:
        """Aligned columns: name, value, floor, ratio, details, and what misses its limit."""
        columns = list(dict.fromkeys(name for line in self.lines for name in line.details))
        rows = [["", "value", "floor", "ratio", *columns, "unit", ""]]
        for line in self.lines:
            figures = [line.value, line.floor, line.ratio, *(line.details.get(name) for name in columns)]
            shown = ["—" if figure is None else f"{figure:,.2f}" for figure in figures]
            rows.append([line.name, *shown, line.unit, ", ".join(line.misses)])
        widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
        body = "\n".join(_aligned(row, widths) for row in rows)
        return "\n".join([f"{self.benchmark}, size {self.size:,}", body, *self.notes])


def _aligned(row: list[str], widths: list[int]) -> str:
    first, *figures = row
    cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(figures, widths[1:], strict=True))]
    return "  ".join(cells).rstrip()
