"""Policy: from a payment and what is known to what happens next. Pure; time and randomness are arguments."""
