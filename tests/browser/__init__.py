"""The whole product in a real browser: bin/dev's processes, driven as people drive them."""
