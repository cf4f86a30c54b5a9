"""« Exporter », below the pages."""
