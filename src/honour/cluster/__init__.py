"""Training sets on Spark: the feature SQL of `honour.features.sql`, run by a cluster."""
