"""Where trained models are kept and named: MLflow's tracking and registry."""
