"""WinLeadPlus: runs, reading prospects, comparing, applying, and what is left for a person."""
