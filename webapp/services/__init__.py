"""Commands and queries, one module or package per domain. They know no Flask."""
