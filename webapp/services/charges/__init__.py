"""The charge engine: claim, call, record, in that order, so that kill -9 anywhere neither doubles nor forgets."""
