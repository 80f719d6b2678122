"""A language-queried separator: AudioSep's ResUNet and Hybrid-Sep's first stage, its queries, tasks and losses."""
