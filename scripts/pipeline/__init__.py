"""What stands between Snakemake and the mathematics: tables, claims, figures, configuration."""
