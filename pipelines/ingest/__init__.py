"""The ingest room: reads datasets' own metadata, decodes their audio, and fills the clip store."""
