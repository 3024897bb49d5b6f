"""A simulated world of issuers, acquirers and shoppers in which the truth is known, and a stage to play policies in.

It shows whether a policy works and what it costs, not what anyone would earn.
"""
