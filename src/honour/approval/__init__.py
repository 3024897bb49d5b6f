"""P(issuer approves): the model that serves, its calibrators, and how good it is, without any training library."""
