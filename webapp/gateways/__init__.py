"""Everything that talks outwards: WinLeadPlus, identity, payments, mail."""
