"""The catalogue: DuckDB views over a run's tables, and the Apache Beam build over runs and the metadata of datasets."""
