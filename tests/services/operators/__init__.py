"""What operators tell us of claims, and what we tell them."""
