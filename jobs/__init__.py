"""Jobs: one line each, calling a service. Run by RQ workers; safe to run twice."""
