"""« Exporter » and « Mes exports »."""
